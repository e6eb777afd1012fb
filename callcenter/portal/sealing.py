"""Sealing by the portal: to the public key of intake, and for the secret of a receipt.

What intake opens is encrypted with age, as recordings are. The applicant's own copy is encrypted
with age too, to a key pair that is made for it: the public key takes what is answered later, the
private one is locked with what argon2id makes of the receipt's secret.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from uuid import UUID

import pyrage
from argon2.low_level import Type, hash_secret_raw
from pyrage import x25519

from callcenter.platform.core.encryption import Cipher, DecryptionFailed
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.portal.rules import PortalMessage, ReceiptSecret

#: The second choice of OWASP for argon2id.
PASSES, MEMORY = 2, 19 * 1024  # KiB
PURPOSE = "portal receipt"


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """The key of a receipt: `proof` shows to the database that somebody has it, `lock` opens."""

    proof: bytes
    lock: str

    @classmethod
    def derive(cls, number: str, secret: ReceiptSecret) -> "ReceiptKey":
        """The key of the receipt with this number and secret. Blocks for some 20 ms."""
        salt = hashlib.sha256(f"callcenter {PURPOSE}\0{number}".encode()).digest()[:16]
        both = hash_secret_raw(secret.code, salt, PASSES, MEMORY, 1, 64, Type.ID)
        return cls(both[:32], both[32:].hex())

    @property
    def cipher(self) -> Cipher:
        """The cipher that locks and unlocks private keys."""
        return Cipher(PURPOSE, [self.lock])


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """The applicant's copy of a message, and the locked private key that opens it."""

    recipient: str  #: the public key
    locked: bytes
    sealed: bytes


def read_sealing_key(settings: Settings) -> str:
    """The public key of intake. Raises DependencyUnavailable when there is none here."""
    if settings.portal_key is not None:
        return settings.portal_key
    file = settings.portal_key_file
    try:
        key = file.read_text(encoding="ascii").strip()
        x25519.Recipient.from_str(key)
    except (OSError, ValueError, pyrage.RecipientError) as exc:
        raise DependencyUnavailable(
            f"{file} has no public key of age: run `callcenter keys make` where the keys are, or "
            "set CALLCENTER_PORTAL_KEY to what `callcenter keys portal` shows there"
        ) from exc
    return key


def seal_message(settings: Settings, message_id: UUID, message: PortalMessage) -> bytes:
    """Encrypt a message for intake, bound to its id, to the key that is there now.

    Another key may have come since the start. Raises DependencyUnavailable when there is none.
    """
    key = read_sealing_key(settings)
    plain = json.dumps({"id": str(message_id), **asdict(message)}).encode()
    sealed: bytes = pyrage.encrypt(plain, [x25519.Recipient.from_str(key)])
    return sealed


def seal_copy(message_id: UUID, message: PortalMessage, key: ReceiptKey) -> OwnCopy:
    """Encrypt the applicant's copy of a message."""
    identity = x25519.Identity.generate()
    recipient = identity.to_public()
    locked = key.cipher.seal(message_id, str(identity).encode())
    sealed = pyrage.encrypt(json.dumps(asdict(message)).encode(), [recipient])
    return OwnCopy(str(recipient), locked, sealed)


def open_copy(message_id: UUID, locked: bytes, sealed: bytes, key: ReceiptKey) -> PortalMessage:
    """Decrypt the applicant's copy. Raises DecryptionFailed when it is not this receipt's."""
    identity = x25519.Identity.from_str(key.cipher.open(message_id, locked).decode())
    try:
        plain = pyrage.decrypt(sealed, [identity])
    except pyrage.DecryptError as exc:
        raise DecryptionFailed from exc
    return PortalMessage(**json.loads(plain))
