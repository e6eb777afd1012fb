"""Scans bytes for viruses with ClamAV's daemon, by its command INSTREAM (clamd(8)).

On the wire: `zINSTREAM\\0`, then pieces, each after its length in four bytes, then a length of 0;
the answer ends with a zero byte: `stream: OK`, `stream: NAME FOUND`, or `... ERROR`.
"""

import asyncio
import re
import struct
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest

PIECE = 64 * 1024
SCAN_TIMEOUT = 60.0  # seconds for one file: ClamAV gives up on hard ones after two minutes at most

_ADDRESS = re.compile(r"(?:unix:(?P<path>/.+)|tcp://(?P<host>[^:/\s]+):(?P<port>\d{1,5}))")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a scan: `clean`, else `why`, the virus or ClamAV's fault."""

    clean: bool
    why: str = ""


async def scan(address: str, content: bytes) -> Verdict:
    """Scan these bytes with the clamd at `unix:/path` or `tcp://host:port`.

    Raises DependencyUnavailable: it does not answer, or not as it should; InvalidRequest: this is
    no address.
    """
    try:
        async with asyncio.timeout(SCAN_TIMEOUT):
            answer = await _answer(address, content)
    except (OSError, TimeoutError) as exc:
        raise DependencyUnavailable(
            f"clamd does not answer: is it running? ({exc or 'no answer'})"
        ) from exc
    said = answer.rstrip(b"\0\n").decode("utf-8", "replace").removeprefix("stream: ")
    if said == "OK":
        return Verdict(clean=True)
    if said.endswith((" FOUND", "ERROR")):
        return Verdict(clean=False, why=said.removesuffix(" FOUND")[:200])
    raise DependencyUnavailable(
        "clamd does not answer as it should: is it something else at this address?"
    )


async def _answer(address: str, content: bytes) -> bytes:
    """The answer to the bytes.

    clamd hangs up on what is too large for it, mostly unheard: when it does so twice and is alive,
    that is its answer.
    """
    for _ in range(2):
        with suppress(BrokenPipeError, ConnectionResetError):
            return await _ask(address, b"INSTREAM", _pieces(content))
    if await _ask(address, b"PING", ()) == b"PONG\0":
        return b"it hangs up, see its StreamMaxLength ERROR"
    return b""


def _pieces(content: bytes) -> Iterator[bytes]:
    for begin in range(0, len(content), PIECE):
        piece = content[begin : begin + PIECE]
        yield struct.pack(">I", len(piece)) + piece
    yield struct.pack(">I", 0)


async def _ask(address: str, command: bytes, pieces: Iterable[bytes]) -> bytes:
    reader, writer = await _connect(address)
    try:
        writer.write(b"z" + command + b"\0")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read(4096)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _connect(address: str) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidRequest(f"{address!r} is no address of clamd: unix:/path or tcp://host:port")
    if found["path"]:
        return asyncio.open_unix_connection(found["path"])
    return asyncio.open_connection(found["host"], int(found["port"]))
