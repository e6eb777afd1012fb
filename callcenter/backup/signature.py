"""Signatures of this site beside and in its backups, with the key of the audit log.

One is a line: the public key and the Ed25519 signature (RFC 8032), both in base64. Whoever can
write to the place of backups can encrypt to a public key, and this they cannot make.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from callcenter.platform.audit.rules.checkpoints import fingerprint, key_from
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings


class BadSignature(OperationFailed):
    """This is no signature of this text."""


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key of the audit log. Raises SecretMissing, InvalidRequest and OperationFailed."""
    return key_from(read_secret(settings.secrets_folder, "audit"))


def sign(key: Ed25519PrivateKey, text: bytes) -> bytes:
    """The signature as one line. `text` begins with a mark of what it is, which no other has."""
    public, signature = key.public_key().public_bytes_raw(), key.sign(text)
    return b"%b %b\n" % (base64.b64encode(public), base64.b64encode(signature))


def signer_of(signature: bytes, text: bytes) -> str:
    """The fingerprint of the key that signed this text. Raises BadSignature."""
    try:
        public, signed = map(base64.b64decode, signature.split())
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signed, text)
    except (ValueError, InvalidSignature) as exc:
        raise BadSignature from exc
    return fingerprint(key)
