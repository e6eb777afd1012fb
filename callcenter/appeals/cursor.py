"""Where a page of the register ended, as text that a browser or a client gives back unread."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from callcenter.errors import AskedWrongly

Place = tuple[datetime, UUID]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 24 bytes: the time in microseconds since 1970 (eight) and the id (sixteen).
_TIME, _LENGTH = 8, 24


def write(place: Place) -> str:
    """The cursor of the last row of a page: its (received_at, id), in 32 URL-safe letters."""
    at, identity = place
    time = (at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(time.to_bytes(_TIME, "big") + identity.bytes).decode()


def read(cursor: str) -> Place:
    """What `write` was given (the time in UTC). Raises AskedWrongly for any other text."""
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) != _LENGTH:
            raise ValueError("wrong length")
        at = _EPOCH + int.from_bytes(raw[:_TIME], "big") * _MICROSECOND
    except (ValueError, binascii.Error, OverflowError) as exc:
        raise AskedWrongly("this cursor is not one of ours: start from the first page") from exc
    return at, UUID(bytes=raw[_TIME:])
