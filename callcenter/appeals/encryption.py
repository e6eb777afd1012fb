"""Encryption and keyed hashes of sensitive values of records (ИИН, addresses, children).

AES-256-GCM with the appeal's id as associated data, so that no row's values can be given to
another. Values are found by a keyed hash (HMAC-SHA256), which says nothing without the key.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callcenter.platform.core.encryption import Cipher, derive_key
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings


@dataclass(frozen=True)
class RecordKeys:
    """Keys of records: the newest one encrypts, all decrypt.

    To rotate, put a new one before the old, with a space, and restart what runs. The key of the
    hashes stays, or nothing is found any more.
    """

    sealing: Cipher
    finding: bytes

    @classmethod
    def read(cls, settings: Settings) -> "RecordKeys":
        """Read the secrets `register` and `register_search`. Raises as `read_secret` does."""
        words = read_secret(settings.secrets_folder, "register").split()
        finding = read_secret(settings.secrets_folder, "register_search")
        return cls(Cipher("register", words), derive_key("register", finding))

    def seal(self, appeal_id: UUID, content: Mapping[str, Any]) -> bytes | None:
        """Encrypt JSON values for this appeal; None for an empty mapping."""
        if not content:
            return None
        return self.sealing.seal(appeal_id, json.dumps(content, ensure_ascii=False).encode())

    def open(self, appeal_id: UUID, sealed: bytes | None) -> dict[str, Any]:
        """Decrypt values of this appeal. Raises DecryptionFailed."""
        if sealed is None:
            return {}
        content: dict[str, Any] = json.loads(self.sealing.open(appeal_id, sealed))
        return content

    def hash(self, kind: str, text: str) -> bytes:
        """The keyed hash by which a value is found among its kind (`identifier`, ...)."""
        return hmac.digest(self.finding, f"{kind}:{text}".encode(), "sha256")
