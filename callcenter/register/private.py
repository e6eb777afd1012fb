"""Sensitive values of records (ИИН, addresses, names of children): encrypted in the database.

AES-256-GCM; the appeal's id is bound to it, so that no row's values can be given to another. What
must be found is found by a keyed hash (HMAC-SHA256), which tells nothing without the key.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callcenter.cipher import Cipher, derive_key
from callcenter.secrets import read_secret
from callcenter.settings import Settings


@dataclass(frozen=True)
class Keys:
    """The newest key seals, all open: to change it, put a new one before the old, with a space.

    The hashes' key stays, or nothing is found any more.
    """

    sealing: Cipher
    finding: bytes

    @classmethod
    def read(cls, settings: Settings) -> "Keys":
        """The secrets `register` and `register_search`. Raises as `read_secret` does."""
        words = read_secret(settings.secrets_folder, "register").split()
        finding = read_secret(settings.secrets_folder, "register_search")
        return cls(Cipher("register", words), derive_key("register", finding))

    def seal(self, appeal_id: UUID, content: Mapping[str, Any]) -> bytes | None:
        """What JSON can hold, encrypted for this appeal; None for nothing."""
        if not content:
            return None
        return self.sealing.seal(appeal_id, json.dumps(content, ensure_ascii=False).encode())

    def open(self, appeal_id: UUID, sealed: bytes | None) -> dict[str, Any]:
        """What was sealed for this appeal. Raises Unreadable."""
        if sealed is None:
            return {}
        content: dict[str, Any] = json.loads(self.sealing.open(appeal_id, sealed))
        return content

    def hash(self, kind: str, text: str) -> bytes:
        """By which this value is found among others of its kind (`identifier`, ...)."""
        return hmac.digest(self.finding, f"{kind}:{text}".encode(), "sha256")
