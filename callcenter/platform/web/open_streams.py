"""Event streams of one process, each of which ends with its session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity import store
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener

SESSIONS = "sessions"  #: channel of PostgreSQL's NOTIFY, by a trigger: one ended
REST_INTERVAL = 0.2  # seconds between two looks: many sessions that end at once are one


class Stream(Protocol):
    """A response that goes on."""

    def end(self) -> None:
        """End it within two seconds; returns at once."""


class OpenStreams:
    """The streams and their sessions; `run` must be running for them to end."""

    def __init__(self, engine: AsyncEngine, listener: NotifyListener) -> None:
        self._engine = engine
        self._changes = listener.subscribe(SESSIONS)
        self._sessions: dict[Stream, bytes] = {}

    @contextmanager
    def open(self, stream: Stream, token: str) -> Iterator[None]:
        """The stream is of the session of this token within the block."""
        self._sessions[stream] = store.hash_of(token)
        self._changes.notify()  # the session may have ended since it was read
        try:
            yield
        finally:
            del self._sessions[stream]

    async def run(self) -> None:
        """End the streams of sessions that ended, at once, until cancelled."""
        fault = "sessions of event streams not read"
        await self._changes.follow(self._end_streams, fault, rest=REST_INTERVAL)

    async def _end_streams(self) -> None:
        streams = dict(self._sessions)
        if not streams:
            return
        async with unit_of_work(self._engine) as connection:
            live = await store.select_live_sessions(connection, set(streams.values()))
        for stream, session in streams.items():
            if session not in live:
                stream.end()
