"""The hash chain of the audit log: each entry carries the hash of all before it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

#: What precedes the first entry.
GENESIS = bytes(32)

#: Values in the detail of an entry: what PostgreSQL's jsonb gives back exactly as it was given.
Detail = Mapping[str, str | int | bool | None]

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Entry:
    """One entry of the log, without its hash.

    `who` is `user:NAME`, `system:NAME` (an account of the operating system, for commands) or
    `anonymous`. `at` has a time zone. `from_address` is an IP address, or None for commands.
    """

    id: int
    at: datetime
    who: str
    action: str
    subject: str
    detail: Detail
    from_address: str | None


def canonical(entry: Entry) -> bytes:
    """The bytes that are hashed: a JSON list in UTF-8, no spaces, keys in order, time in UTC."""
    content = [
        entry.id,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.who,
        entry.action,
        entry.subject,
        dict(entry.detail),
        entry.from_address,
    ]
    return _JSON.encode(content).encode()


def next_hash(previous: bytes, entry: Entry) -> bytes:
    """SHA-256 of the hash before (32 bytes; GENESIS before the first) and the entry's content."""
    return hashlib.sha256(previous + canonical(entry)).digest()
