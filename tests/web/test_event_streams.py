"""Event streams end once, whatever ends them at the same moment."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from callcenter.platform.web import sse
from callcenter.platform.web.sse import EventStream


async def take(_: Message) -> None:
    """Send to a browser that takes all."""


async def test_a_stream_that_has_ended_is_not_ended_again() -> None:
    """The streams are read before the database says whose session has ended."""

    async def data() -> AsyncGenerator[str, None]:
        yield "event"

    stream = EventStream(data())
    await stream.stream_response(take)
    stream.end()


async def test_a_stream_whose_time_is_over_is_not_ended_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "EVENT_TIMEOUT", 0.01)
    is_closing, may_close = asyncio.Event(), asyncio.Event()

    async def data() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
            yield "event"
        finally:
            is_closing.set()
            await may_close.wait()

    stream = EventStream(data())
    streaming = asyncio.create_task(stream.stream_response(take))
    await is_closing.wait()
    stream.end()
    may_close.set()
    await streaming
