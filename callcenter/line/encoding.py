"""Entries of the journal as lines of a file: a checksum, then JSON that names the kind of entry."""

import zlib

from pydantic import TypeAdapter, ValidationError

from callcenter.errors import WeFailed
from callcenter.line.entries import Entry

_KINDS: dict[str, TypeAdapter[Entry]] = {
    kind.__name__: TypeAdapter(kind) for kind in Entry.__args__
}


class UnreadableLine(WeFailed):
    """A line is not as it was written."""


def encode(entry: Entry) -> bytes:
    """One line, its end included: CRC-32 in hexadecimal, the kind, and its fields as JSON."""
    kind = type(entry).__name__
    said = kind.encode() + b" " + _KINDS[kind].dump_json(entry)
    return b"%08x %s\n" % (zlib.crc32(said), said)


def decode(line: bytes) -> Entry:
    """The entry of a line without its end. Raises UnreadableLine, whatever the bytes."""
    checksum, _, said = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(said):
        raise UnreadableLine("its checksum is wrong")
    kind, _, fields = said.partition(b" ")
    adapter = _KINDS.get(kind.decode("ascii", "replace"))
    if adapter is None:
        raise UnreadableLine("no entry of this kind is known")
    try:
        return adapter.validate_json(fields)
    except ValidationError as exc:
        raise UnreadableLine(f"{exc.error_count()} of its fields are wrong") from None
