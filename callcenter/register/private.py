"""Sensitive values of records (ИИН, addresses, names of children): encrypted in the database.

AES-256-GCM; the appeal's id is bound to it, so that no row's values can be given to another. What
must be found is found by a keyed hash (HMAC-SHA256), which tells nothing without the key.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callcenter.errors import WeFailed
from callcenter.secrets import read_secret
from callcenter.settings import Settings

NONCE = 12  # bytes, random for each sealing


class Unreadable(WeFailed):
    """Sensitive data of an appeal cannot be read: the key is another, or they were altered."""


@dataclass(frozen=True)
class Keys:
    """The newest key seals, all open: to change it, put a new one before the old, with a space.

    The hashes' key stays, or nothing is found any more.
    """

    sealing: tuple[bytes, ...]
    finding: bytes

    @classmethod
    def read(cls, settings: Settings) -> "Keys":
        """The secrets `register` and `register_search`. Raises as `read_secret` does."""
        words = read_secret(settings.secrets_folder, "register").split()
        finding = read_secret(settings.secrets_folder, "register_search")
        return cls(tuple(map(_key, words)), _key(finding))

    def seal(self, appeal_id: UUID, content: Mapping[str, Any]) -> bytes | None:
        """What JSON can hold, encrypted for this appeal; None for nothing."""
        if not content:
            return None
        nonce = os.urandom(NONCE)
        plain = json.dumps(content, ensure_ascii=False).encode()
        return nonce + AESGCM(self.sealing[0]).encrypt(nonce, plain, appeal_id.bytes)

    def open(self, appeal_id: UUID, sealed: bytes | None) -> dict[str, Any]:
        """What was sealed for this appeal. Raises Unreadable."""
        if sealed is None:
            return {}
        for key in self.sealing:
            try:
                plain = AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], appeal_id.bytes)
            except (InvalidTag, ValueError):
                continue
            content: dict[str, Any] = json.loads(plain)
            return content
        raise Unreadable

    def hash(self, kind: str, text: str) -> bytes:
        """By which this value is found among others of its kind (`identifier`, ...)."""
        return hmac.digest(self.finding, f"{kind}:{text}".encode(), "sha256")


def _key(word: str) -> bytes:
    return hashlib.sha256(b"callcenter register\0" + word.encode()).digest()
