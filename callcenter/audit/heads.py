"""Signed heads: what the newest entry of the audit log was at some time, for ever.

A head is one line of text: a mark, the entry's number, its hash in hexadecimal, the time, and the
Ed25519 signature (RFC 8032) in base64 of all before the last space. Public tools can verify it
(docs/operations/running.md).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

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


def is_due(heads: Sequence[Head], now: datetime, last: int) -> bool:
    """Whether entry `last` is to be signed: no head of today (UTC) is the newest of all.

    After the clock was changed there may be one of today from before, which does not cover what
    came since. A log that is shorter than what was signed is signed once a day all the same.
    """
    of_today = [head.entry for head in heads if _day(head.at) == _day(now)]
    newest = max((head.entry for head in heads), default=0)
    return not of_today or max(of_today) < newest <= last


def days_without(heads: Sequence[Head]) -> list[date]:
    """Days (UTC) between the first head and the last that have none: a later one covers them."""
    days = {_day(head.at) for head in heads}
    if not days:
        return []
    length = (max(days) - min(days)).days
    return [day for day in (min(days) + timedelta(n) for n in range(length)) if day not in days]


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
