"""The key that signs what is handed over: Ed25519 (RFC 8032), verified with public tools."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from callcenter.errors import WeFailed

SECRET = "disclosures"  # noqa: S105 - the name of a secret


class UnknownKey(WeFailed):
    """The key that signs is another than the authority knows: bring back the secret `disclosures`,
    or tell the authority of this one, and that you did by `callcenter keys disclosures --told`."""


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public part as PEM, as `openssl pkey -pubin` reads it."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def fingerprint(key: Ed25519PrivateKey) -> str:
    """SHA-256 in hexadecimal of the public part in DER: `openssl pkey -outform DER | sha256sum`."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
