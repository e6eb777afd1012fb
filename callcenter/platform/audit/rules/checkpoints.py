"""Checkpoints: signed statements of the newest entry of the audit log at a time.

A head is one line of text: a mark, the entry's number, its hash in hexadecimal, the time, and the
Ed25519 signature (RFC 8032) in base64 of all before the last space. Public tools can verify it
(docs/operations/running.md).
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from callcenter.platform.core.errors import InvalidRequest, OperationFailed

#: Nothing else that is ever signed with this key begins so.
MARK = "callcenter-audit-head-1"


class NotSigned(OperationFailed):
    """This is no head that was signed with this key."""


@dataclass(frozen=True)
class Checkpoint:
    """Entry `entry`, with this hash, was the newest at `at`, to the second."""

    entry: int
    hash: bytes
    at: datetime


def key_from(seed: str, name: str = "audit") -> Ed25519PrivateKey:
    """The signing key of a seed: 32 bytes in base64url, from the secret `name`.

    Raises InvalidRequest.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "="))
    except ValueError as exc:
        raise InvalidRequest(f"the secret `{name}` must hold 32 bytes in base64url") from exc


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's 32 bytes in hexadecimal, by which people compare keys."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def sign(key: Ed25519PrivateKey, head: Checkpoint) -> str:
    """The signed checkpoint as one line, without the line's end."""
    at = head.at.astimezone(UTC).isoformat(timespec="seconds")
    said = f"{MARK} {head.entry} {head.hash.hex()} {at}"
    return f"{said} {base64.b64encode(key.sign(said.encode())).decode()}"


def read(key: Ed25519PublicKey, line: str) -> Checkpoint:
    """Parse and verify a line. Raises NotSigned unless `sign` made it with this key."""
    said, _, signature = line.rpartition(" ")
    try:
        key.verify(base64.b64decode(signature, validate=True), said.encode())
        mark, entry, digest, at = said.split(" ")
        if mark != MARK:
            raise NotSigned
        return Checkpoint(int(entry), bytes.fromhex(digest), datetime.fromisoformat(at))
    except (InvalidSignature, ValueError) as exc:
        raise NotSigned from exc


def is_due(heads: Sequence[Checkpoint], now: datetime, last: int) -> bool:
    """Whether entry `last` is to be signed: no checkpoint of today (UTC) has it.

    After the clock was changed there may be one of today from before, which does not cover what
    came since. A log that is shorter than what was signed is signed once a day all the same.
    """
    of_today = [head.entry for head in heads if _day(head.at) == _day(now)]
    newest = max((head.entry for head in heads), default=0)
    return not of_today or max(of_today) < newest <= last


def days_without(heads: Sequence[Checkpoint]) -> list[date]:
    """Days (UTC) between the first checkpoint and the last that have none of their own."""
    days = {_day(head.at) for head in heads}
    if not days:
        return []
    length = (max(days) - min(days)).days
    return [day for day in (min(days) + timedelta(n) for n in range(length)) if day not in days]


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
