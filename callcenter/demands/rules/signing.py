"""The Ed25519 key (RFC 8032) that signs disclosures, verifiable with public tools."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from callcenter.platform.core.errors import OperationFailed

SECRET = "disclosures"  # noqa: S105 - the name of a secret


class UnknownKey(OperationFailed):
    """The authority does not know the key that signs: see `callcenter keys disclosures`.

    Bring back the secret `disclosures`, or tell the authority of this key, and that you did by
    `callcenter keys disclosures --told`.
    """


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public part as PEM, as `openssl pkey -pubin` reads it."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def public_der(key: Ed25519PrivateKey) -> bytes:
    """The public part in DER (RFC 8410)."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: Ed25519PrivateKey) -> str:
    """SHA-256 in hexadecimal of the public part in DER.

    As `openssl pkey -outform DER | sha256sum` gives it.
    """
    return hashlib.sha256(public_der(key)).hexdigest()
