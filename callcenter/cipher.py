"""Encryption of values in the database: AES-256-GCM under a secret of this copy."""

import hashlib
import os
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callcenter.errors import WeFailed

NONCE = 12  # bytes, random for each sealing


class Unreadable(WeFailed):
    """Encrypted data cannot be read: the key is another, or they were altered."""


class Cipher:
    """The newest word seals, all open: to change the key, put a new word before the old.

    What is sealed is bound to an id, so that no row's value can be given to another.
    """

    def __init__(self, purpose: str, words: Sequence[str]) -> None:
        self._keys = [derive_key(purpose, word) for word in words]

    def seal(self, owner: UUID, plain: bytes) -> bytes:
        """The bytes, encrypted for this owner."""
        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._keys[0]).encrypt(nonce, plain, owner.bytes)

    def open(self, owner: UUID, sealed: bytes) -> bytes:
        """What was sealed for this owner. Raises Unreadable."""
        for key in self._keys:
            try:
                return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], owner.bytes)
            except (InvalidTag, ValueError):
                continue
        raise Unreadable


def derive_key(purpose: str, word: str) -> bytes:
    """32 bytes from a secret, others for each purpose."""
    return hashlib.sha256(f"callcenter {purpose}\0{word}".encode()).digest()
