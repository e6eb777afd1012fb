"""Signed heads: what the newest entry of the audit log was at some time, for ever.

A head is one line of text: a mark, the entry's number, its hash in hexadecimal, the time, and the
Ed25519 signature (RFC 8032) in base64 of all before the last space. Public tools can verify it
(docs/operations/running.md).
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from callcenter.errors import AskedWrongly, WeFailed

#: Nothing else that is ever signed with this key begins so.
MARK = "callcenter-audit-head-1"


class NotSigned(WeFailed):
    """This is no head that was signed with this key."""


@dataclass(frozen=True)
class Head:
    """Entry `entry` was the newest at `at`, to the second, and had this hash (`audit.chain`)."""

    entry: int
    hash: bytes
    at: datetime


def key_from(seed: str, name: str = "audit") -> Ed25519PrivateKey:
    """The key of a seed, 32 bytes in base64url as `secrets` makes them, from the secret `name`.

    Raises AskedWrongly.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "="))
    except ValueError as exc:
        raise AskedWrongly(f"the secret `{name}` must hold 32 bytes in base64url") from exc


def sign(key: Ed25519PrivateKey, head: Head) -> str:
    """The head as one line, without the line's end."""
    at = head.at.astimezone(UTC).isoformat(timespec="seconds")
    said = f"{MARK} {head.entry} {head.hash.hex()} {at}"
    return f"{said} {base64.b64encode(key.sign(said.encode())).decode()}"


def read(key: Ed25519PublicKey, line: str) -> Head:
    """The head that the line holds. Raises NotSigned for whatever `sign` did not make."""
    said, _, signature = line.rpartition(" ")
    try:
        key.verify(base64.b64decode(signature, validate=True), said.encode())
        mark, entry, digest, at = said.split(" ")
        if mark != MARK:
            raise NotSigned
        return Head(int(entry), bytes.fromhex(digest), datetime.fromisoformat(at))
    except (InvalidSignature, ValueError) as exc:
        raise NotSigned from exc
