"""Readiness of a process by systemd's sd_notify protocol: a datagram to `NOTIFY_SOCKET`.

The same call tells `callcenter up` and a systemd unit of `Type=notify` that a process serves.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


def ready(status: str) -> None:
    """Notify the supervisor that this process serves; `status` says where, in one line.

    Does nothing when nobody asked (no `NOTIFY_SOCKET`). Raises OSError when the socket is gone,
    which means that the supervisor is.
    """
    _notify(f"READY=1\nSTATUS={' '.join(status.split())}\n")


def alive() -> None:
    """Notify systemd that this process does not hang, when its unit has `WatchdogSec`.

    Does nothing when nobody asked (no `WATCHDOG_USEC`), or when nobody is there any more.
    """
    if "WATCHDOG_USEC" in os.environ:
        with suppress(OSError):
            _notify("WATCHDOG=1\n")


def _notify(message: str) -> None:
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(message.encode())


def read_ready(message: bytes) -> str | None:
    """The status in a message that says `READY=1`; None for every other message."""
    lines = message.decode(errors="replace").split("\n")
    if "READY=1" not in lines:
        return None
    return next((line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")), "")


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, status: asyncio.Future[str]) -> None:
        self.status = status

    def datagram_received(self, data: bytes, addr: object) -> None:
        status = read_ready(data)
        if status is not None and not self.status.done():
            self.status.set_result(status)


@asynccontextmanager
async def readiness(path: Path) -> AsyncIterator[asyncio.Future[str]]:
    """A future with the status that the process given `NOTIFY_SOCKET=path` reports.

    The socket exists as long as the context, so a late word of an earlier process cannot be
    taken for one of the next. The future is cancelled on exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Receiver(future), local_addr=str(path), family=socket.AF_UNIX
    )
    try:
        yield future
    finally:
        future.cancel()
        transport.close()
        with suppress(FileNotFoundError):
            os.unlink(path)
