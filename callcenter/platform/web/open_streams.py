"""Event streams of one process, each of which ends with its session."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.identity import store
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener

SESSIONS = "sessions"  #: channel of PostgreSQL's NOTIFY, by a trigger: one ended
REST_INTERVAL = 0.2  # seconds between two looks: many sessions that end at once are one

log = logging.getLogger(__name__)


class Stream(Protocol):
    """A response that goes on."""

    def end(self) -> None:
        """End it within three seconds; returns at once."""


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
        await self._changes.follow(self._end_streams, rest=REST_INTERVAL)

    async def _end_streams(self) -> bool:
        """End those whose session is over; False: the database is away."""
        streams = dict(self._sessions)
        if not streams:
            return True
        try:
            async with unit_of_work(self._engine) as connection:
                live = await store.select_live_sessions(connection, set(streams.values()))
        except (CallcenterError, SQLAlchemyError, OSError) as exc:
            log.error("sessions of event streams not read: %s", type(exc).__name__)
            return False
        for stream, session in streams.items():
            if session not in live:
                stream.end()
        return True
