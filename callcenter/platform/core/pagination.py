"""Pagination cursors: the position after a page, as opaque text for clients."""

import base64
import binascii
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from callcenter.platform.core.errors import InvalidRequest

Place = tuple[datetime, UUID]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 24 bytes: the time in microseconds since 1970 (eight) and the id (sixteen).
_TIME, _LENGTH = 8, 24
_DAY = 6  # bytes of the day before them: 30 bytes are 40 letters without padding


def write(place: Place) -> str:
    """The cursor of the last row of a page: its (received_at, id), in 32 URL-safe letters."""
    at, identity = place
    time = (at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(time.to_bytes(_TIME, "big") + identity.bytes).decode()


def read(cursor: str) -> Place:
    """Parse a cursor of `write` (the time in UTC). Raises InvalidRequest for any other text."""
    return _read(cursor, 0)[1]


def write_due(due_on: date, place: Place) -> str:
    """The cursor of a list by deadline, in 40 letters. `date.max`: no deadline."""
    at, identity = place
    time = ((at - _EPOCH) // _MICROSECOND).to_bytes(_TIME, "big")
    raw = due_on.toordinal().to_bytes(_DAY, "big") + time + identity.bytes
    return base64.urlsafe_b64encode(raw).decode()


def read_due(cursor: str) -> tuple[date, Place]:
    """Parse a cursor of `write_due`. Raises InvalidRequest for any other text."""
    return _read(cursor, _DAY)


def _read(cursor: str, day: int) -> tuple[date, Place]:
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) != day + _LENGTH:
            raise ValueError("wrong length")
        due_on = date.fromordinal(int.from_bytes(raw[:day], "big")) if day else date.max
        at = _EPOCH + int.from_bytes(raw[day : day + _TIME], "big") * _MICROSECOND
    except (ValueError, binascii.Error, OverflowError) as exc:
        raise InvalidRequest("this cursor is not one of ours: start from the first page") from exc
    return due_on, (at, UUID(bytes=raw[day + _TIME :]))
