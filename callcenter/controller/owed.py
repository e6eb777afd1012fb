"""What is owed to callers who did not wait is done: by one controller each, when somebody is free.

A promise waits at the desk like a caller. When a consultant is leased to it, it is carried out in
the way of its kind: `callbacks.py`, `hearings.py`.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.desk import Place
from callcenter.consultants.standing import Queue
from callcenter.consultants.store import Consultant
from callcenter.errors import WeFailed
from callcenter.promises import store
from callcenter.promises.states import Kind, State
from callcenter.promises.store import Claimed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

LOOK = 2.0  # seconds between two looks for promises, and between renewals of what was claimed
MOST = 50  # promises of a kind that one controller takes care of at once
OFFER = 60.0  # seconds; then a consultant is waited for again
AFTER_A_FAULT = 5.0  # seconds
FAULTS = (WeFailed, SQLAlchemyError, OSError)


class Way(Protocol):
    """How promises of a kind are carried out."""

    def is_over(self, owed: Claimed) -> State | None:
        """What a promise ends as that is not to be tried (any more)."""

    def place(self, owed: Claimed) -> AbstractAsyncContextManager[Place]:
        """Its place at the desk. Raises one of FAULTS when it cannot be carried out now."""

    async def attempt(self, owed: Claimed, place: Place, consultant: Consultant) -> bool:
        """Carry it out with the consultant whom the place holds.

        False when that one did not answer, and another is to be found. Raises one of FAULTS.
        """


class Owed:
    """One controller's part in it. `run` must be running."""

    def __init__(
        self, controller: str, engine: AsyncEngine, queue: Queue, ways: Mapping[Kind, Way]
    ) -> None:
        self._controller = controller
        self._engine = engine
        self._queue = queue
        self._ways = ways
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._kinds: dict[UUID, Kind] = {}
        self._under_way: set[UUID] = set()
        self._overdue: set[UUID] = set()
        self.takes_more = True  #: false: what is being carried out is, and nothing else

    @property
    def is_busy(self) -> bool:
        """Whether a promise is being carried out now."""
        return bool(self._under_way)

    async def run(self) -> None:
        """Take care of promises until cancelled: then calls are ended, and others may go on."""
        is_new = True  # what an earlier life of this controller took care of is nobody's now
        try:
            while True:
                try:
                    await self._look(is_new)
                    is_new = False
                except FAULTS as exc:
                    log.error("promises wait: %s", type(exc).__name__)
                await asyncio.sleep(LOOK)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, is_new: bool) -> None:
        now = datetime.now(UTC)
        claimed: list[Claimed] = []
        async with unit_of_work(self._engine) as connection:
            if is_new:
                await store.release(connection, self._controller)
            known = list(self._tasks)
            mine = await store.renew(connection, self._controller, now, known) if known else set()
            for kind in self._ways if self.takes_more else ():
                room = MOST - list(self._kinds.values()).count(kind)
                claimed += await store.claim(connection, self._controller, now, room, kind=kind)
            overdue = await store.overdue(connection, now)
        for promise_id in self._tasks.keys() - mine - self._under_way:
            self._tasks[promise_id].cancel()  # it was ended, or another controller has it
        for promise_id in () if self.takes_more else self._tasks.keys() - self._under_way:
            self._tasks[promise_id].cancel()
        for owed in claimed:
            task = self._tasks[owed.id] = asyncio.create_task(self._keep(owed))
            self._kinds[owed.id] = owed.kind
            task.add_done_callback(partial(self._forget, owed.id))
        await self._alarm(overdue)

    async def _alarm(self, overdue: Mapping[UUID, tuple[Kind, str]]) -> None:
        alarms = {
            Kind.CALLBACK: self._queue.callback_overdue,
            Kind.MESSAGE: self._queue.message_overdue,
        }
        new = overdue.keys() - self._overdue
        self._overdue = set(overdue)
        told = [(each, *overdue[each]) for each in new]
        await asyncio.gather(*(alarms[kind](each, language) for each, kind, language in told))

    def _forget(self, promise_id: UUID, task: asyncio.Task[None]) -> None:
        if self._tasks.get(promise_id) is task:
            del self._tasks[promise_id], self._kinds[promise_id]

    async def _keep(self, owed: Claimed) -> None:
        """Wait for a consultant, then carry it out: one attempt."""
        way = self._ways[owed.kind]
        try:
            if (became := way.is_over(owed)) is not None:
                await self._end(owed, became)
            else:
                async with way.place(owed) as place:
                    await self._carry_out(way, owed, place)
        except FAULTS as exc:
            log.error("%s %s waits: %s", owed.kind.value, owed.id, exc)
            await asyncio.sleep(AFTER_A_FAULT)
        finally:
            await asyncio.shield(self._release(owed))

    async def _carry_out(self, way: Way, owed: Claimed, place: Place) -> None:
        is_carried_out = False
        while not is_carried_out:
            consultant = await place.offer(OFFER)
            if consultant is None:
                continue
            self._under_way.add(owed.id)
            try:
                is_carried_out = await way.attempt(owed, place, consultant)
            finally:
                self._under_way.discard(owed.id)

    async def _end(self, owed: Claimed, state: State) -> None:
        async with unit_of_work(self._engine) as connection:
            await store.end(connection, owed.id, state, datetime.now(UTC))

    async def _release(self, owed: Claimed) -> None:
        try:
            async with unit_of_work(self._engine) as connection:
                await store.release(connection, self._controller, [owed.id])
        except FAULTS as exc:  # the claim ends by itself
            log.error("cannot give back promise %s: %s", owed.id, type(exc).__name__)
