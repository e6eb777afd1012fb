"""Parser of Asterisk's CEL file, a line at a time, without I/O.

Asterisk writes CEL as JSON lines (docs/decisions/0004 says what and why).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LONGEST = 16 * 1024  # bytes; Asterisk's own lines are a few hundred
LAST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

# An id goes into file names and the database.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class CelEvent:
    """One event of one channel. `call_id` is the channel with which the call began (linkedid).

    `channel` and `peer` are names as in `PJSIP/1001-0000000a`; `extra` is what belongs to the
    event, `{"extra": ...}` for what the dialplan marks. Texts are unchecked, except the two ids.
    """

    at: datetime
    event: str
    channel_id: str
    call_id: str
    channel: str
    peer: str
    extra: Mapping[str, str]

    @property
    def is_of_caller(self) -> bool:
        """True for an event of the channel with which the call began."""
        return self.channel_id == self.call_id


def parse(line: bytes) -> CelEvent | None:
    """Parse a line of the CEL file; None when it is no event. Never raises."""
    if len(line) > LONGEST:
        return None
    fields = _object(line)
    names = ("eventtype", "uniqueid", "linkedid", "channame", "peer")
    texts = [value for name in names if isinstance(value := fields.get(name), str)]
    at = _time(fields.get("eventtime"))
    if at is None or len(texts) < len(names):
        return None
    event, channel_id, call_id, channel, peer = texts
    if _ID.fullmatch(channel_id) is None or _ID.fullmatch(call_id) is None:
        return None
    return CelEvent(at, event, channel_id, call_id, channel, peer, _extra(fields.get("eventextra")))


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _extra(value: object) -> dict[str, str]:
    fields = _object(value) if isinstance(value, str) and value else {}
    return {name: text for name, text in fields.items() if isinstance(text, str)}


def _time(value: object) -> datetime | None:
    """The time; None for an implausible year, which would break arithmetic elsewhere."""
    if isinstance(value, int | float) and 0 < value < LAST:
        return datetime.fromtimestamp(value, UTC)
    return None
