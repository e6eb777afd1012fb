"""Server-sent events (HTML standard, 9.2)."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from fastapi.sse import format_sse_event
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from callcenter.platform.web.context import site_of, token_cookie

EVENT_TIMEOUT = 300.0  # seconds after which a browser that does not take what is sent is given up
END_TIMEOUT = 1.5  # seconds in which a browser takes the end of a stream whose session has ended
RECONNECT_AFTER = 1000  # milliseconds after which a browser comes back when the response has ended

log = logging.getLogger(__name__)


class EventStream(StreamingResponse):
    """A stream of events; the browser reconnects when it ends.

    It ends with `data`, with the browser, with the session, or after five minutes, whichever is
    first.
    """

    media_type = "text/event-stream"

    def __init__(self, data: AsyncGenerator[str, None]) -> None:
        # A proxy that gathered events before it passed them on would make them old.
        self._events = self._format(data)
        self._timeout = asyncio.timeout(EVENT_TIMEOUT)
        self._has_ended = False
        super().__init__(self._events, headers={"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        token = request.cookies.get(token_cookie(request), "")
        with site_of(request).streams.open(self, token):
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        try:
            async with self._timeout:
                await super().stream_response(send)
                return
        except TimeoutError:
            if not self._has_ended:
                log.warning("event stream closed: the browser took no events")
                return
        finally:
            self._has_ended = True  # whoever looked at the streams before may still end it
            await self._events.aclose()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def end(self) -> None:
        """End it at once, as a whole response does; one that is stuck is cut then.

        One that has ended, or is ending by itself, is left alone.
        """
        if not (self._has_ended or self._timeout.expired()):
            self._has_ended = True
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _format(self, data: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(data):
            async for each in data:
                yield format_sse_event(data_str=each, retry=RECONNECT_AFTER)
