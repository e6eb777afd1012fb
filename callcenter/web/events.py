"""Server-sent events (HTML standard, 9.2): a response that goes on for a while."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Send

LONGEST = 300.0  # seconds after which a browser that does not take what is sent is given up
COME_BACK = 1000  # milliseconds after which a browser comes back when the response has ended

log = logging.getLogger(__name__)


class EventStream(StreamingResponse):
    """Events with these data; the browser comes back when they end.

    It ends with `data`, with the browser, or after five minutes, whichever is first.
    """

    media_type = "text/event-stream"

    def __init__(self, data: AsyncGenerator[str, None]) -> None:
        # A proxy that gathered events before it passed them on would make them old.
        self._events = _events(data)
        super().__init__(self._events, headers={"X-Accel-Buffering": "no"})

    async def stream_response(self, send: Send) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await super().stream_response(send)
        except TimeoutError:
            log.warning("a browser that took no events was given up")
        finally:
            await self._events.aclose()


async def _events(data: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(data):
        async for each in data:
            yield format_sse_event(data_str=each, retry=COME_BACK)
