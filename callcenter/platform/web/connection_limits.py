"""Time limits of HTTP connections, and room for new ones when too many are idle.

The server bounds only the pause between two requests. Here the headers of a request, its body and
the client's reading of the answer take limited time too, as with `mod_reqtimeout` of Apache and
`send_timeout` of nginx; and when all connections are in use, the one that has waited longest for a
request makes room, as in nginx: idle ones keep nobody out, wherever they come from.
"""

import asyncio
import logging
import resource
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HEAD_TIMEOUT = 10.0  # seconds for the headers of a request
BODY_TIMEOUT = 10.0  # seconds for its body, and a second more for each MIN_RATE bytes of it
MIN_RATE = 500  # bytes a second
SEND_TIMEOUT = 60.0  # seconds in which a client takes nearly all that was written to it

MAX_CONNECTIONS = 4096
#: Connections that are accepted in one step of the loop; one is closed four steps later at most.
ACCEPTED_AT_ONCE = 32
#: Open files beside connections: those of four steps, the database, Redis, files that are sent.
RESERVED_FILES = 4 * ACCEPTED_AT_ONCE + 128
LOG_INTERVAL = 60.0  # seconds between two lines about the same flood

log = logging.getLogger(__name__)


def connection_limit() -> int:
    """The number of connections that the limit of open files leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CONNECTIONS, max(soft - RESERVED_FILES, soft // 2))


class ConnectionPool(ServerState):
    """The connections of a server; `waiting` are those without a request, the longest first."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.waiting: dict[LimitedConnection, None] = {}
        self._logged_at = -LOG_INTERVAL

    def make_room(self) -> None:
        """Abort the longest waiting connection when there is one too many.

        When none waits but the new one, it is that.
        """
        if len(self.connections) <= self.limit or not self.waiting:
            return
        longest = next(iter(self.waiting))
        del self.waiting[longest]
        longest.transport.abort()
        now = longest.loop.time()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.warning("connections full: idle ones are closed, limit %d", self.limit)


class LimitedConnection(H11Protocol):
    """HTTP/1.1 in limited time; the pool of its server must be a ConnectionPool."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, ConnectionPool)  # noqa: S101 - narrows for the type checker
        self._pool = server_state
        self._awaited: object = None  # the client's state in h11
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._due = 0.0  # of the body, by the clock of the loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await(received=1)  # the first request is awaited at once
        self._pool.make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.waiting.pop(self, None)
        self._stop_receiving()
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(SEND_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_sending()

    def _await(self, received: int = 0) -> None:
        """Limit the time of what the client is to send now, of which so many bytes arrived.

        The pause before the headers of a further request is the server's own to limit.
        """
        awaited = self.conn.their_state
        if awaited is not self._awaited:
            self._awaited = awaited
            self._stop_receiving()
            self._pool.waiting.pop(self, None)
            if awaited is h11.IDLE:
                self._pool.waiting[self] = None
            elif awaited is h11.SEND_BODY:
                self._due = self.loop.time() + BODY_TIMEOUT
                self._receiving = self.loop.call_later(BODY_TIMEOUT, self._check_body)
        if awaited is h11.SEND_BODY:
            self._due += received / MIN_RATE
        elif awaited is h11.IDLE and received and self._receiving is None:
            self._receiving = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _check_body(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:  # it is we who do not read
            self._due = now + BODY_TIMEOUT
        if now < self._due:
            self._receiving = self.loop.call_at(self._due, self._check_body)
        else:
            self.transport.close()

    def _stop_receiving(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
