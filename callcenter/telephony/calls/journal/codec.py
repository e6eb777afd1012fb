"""Codec of journal entries: one line each of checksum, tag and fields as JSON.

Lines outlive the version that wrote them, and during an upgrade versions read each other's: the tag
of a class and the names of its fields never change, whatever the class is called.
"""

import zlib
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallbackClosed,
    CallbackRequested,
    CallClosed,
    CallOpened,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
    NumberSealed,
    OutboundClosed,
    OutboundLegChanged,
    OutboundStarted,
    RecordingStarted,
    RecordingStopped,
    VoicemailDiscarded,
    VoicemailRegistered,
)

#: Tag of a line by class. A new class gets a new tag; no tag changes or is used again.
TAGS: Mapping[type[Entry], str] = {
    CallOpened: "Opened",
    EventRecorded: "Happened",
    LanguageChosen: "LanguageSettled",
    BecameUrgent: "BecameUrgent",
    ConsultantAssigned: "ConsultantSettled",
    RecordingStarted: "RecordingBegan",
    RecordingStopped: "RecordingEnded",
    CallbackRequested: "CallbackPromised",
    VoicemailRegistered: "MessagePromised",
    VoicemailDiscarded: "MessageEmpty",
    CallbackClosed: "PromiseEnded",
    CallClosed: "Closed",
    OutboundStarted: "OutgoingBegan",
    OutboundLegChanged: "OutgoingCarried",
    OutboundClosed: "OutgoingClosed",
    NumberSealed: "NumberSealed",
}
_ADAPTERS: Mapping[str, TypeAdapter[Entry]] = {tag: TypeAdapter(kind) for kind, tag in TAGS.items()}


class UnreadableLine(OperationFailed):
    """A line of a spool is damaged."""


def encode(entry: Entry) -> bytes:
    """Encode as one line with its end: CRC-32 in hexadecimal, tag, fields as JSON."""
    tag = TAGS[type(entry)]
    said = tag.encode() + b" " + _ADAPTERS[tag].dump_json(entry)
    return b"%08x %s\n" % (zlib.crc32(said), said)


def decode(line: bytes) -> Entry:
    """Decode a line without its end. Raises UnreadableLine, whatever the bytes."""
    checksum, _, said = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(said):
        raise UnreadableLine("its checksum is wrong")
    tag, _, fields = said.partition(b" ")
    adapter = _ADAPTERS.get(tag.decode("ascii", "replace"))
    if adapter is None:
        raise UnreadableLine("its tag is unknown")
    try:
        return adapter.validate_json(fields)
    except ValidationError as exc:
        raise UnreadableLine(f"{exc.error_count()} of its fields are wrong") from None
