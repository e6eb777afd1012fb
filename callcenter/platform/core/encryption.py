"""Encryption of values in the database: AES-256-GCM under a secret of this copy."""

import hashlib
import os
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callcenter.platform.core.errors import OperationFailed

NONCE = 12  # bytes, random for each sealing


class DecryptionFailed(OperationFailed):
    """Encrypted data cannot be read: the key is another, or they were altered."""


class Cipher:
    """Encrypts with the newest key and decrypts with all: put a new one before the old.

    What is sealed is bound to an id, so that no row's value can be given to another.
    """

    def __init__(self, purpose: str, words: Sequence[str]) -> None:
        self._keys = [derive_key(purpose, word) for word in words]

    def seal(self, owner: UUID, plain: bytes) -> bytes:
        """Encrypt the bytes for this owner."""
        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._keys[0]).encrypt(nonce, plain, owner.bytes)

    def open(self, owner: UUID, sealed: bytes) -> bytes:
        """Decrypt bytes sealed for this owner. Raises DecryptionFailed."""
        for key in self._keys:
            try:
                return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], owner.bytes)
            except (InvalidTag, ValueError):
                continue
        raise DecryptionFailed


def derive_key(purpose: str, word: str) -> bytes:
    """Derive 32 bytes from a secret, different for each purpose."""
    return hashlib.sha256(f"callcenter {purpose}\0{word}".encode()).digest()
