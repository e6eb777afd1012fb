"""Calling back as promised: by one controller each, no more at once than consultants are free.

A promise waits at the desk like a caller, at the place of the call in which it was made. When a
consultant is leased to it the attempt is put down in PostgreSQL, then the number is called.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals.outgoing import Outgoing
from callcenter.consultants.desk import Desk
from callcenter.consultants.desk import Place as DeskPlace
from callcenter.consultants.order import CALLBACK
from callcenter.consultants.standing import Queue
from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.callback import Callback, called_back
from callcenter.line.entries import PromiseEnded
from callcenter.line.journal import Journal, OutgoingRecord
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, Switch
from callcenter.promises import store
from callcenter.promises.states import State, pause_after
from callcenter.promises.store import Claimed
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

LOOK = 2.0  # seconds between two looks for promises, and between renewals of what was claimed
MOST = 50  # promises that one controller takes care of at once
OFFER = 60.0  # seconds; then a consultant is waited for again
AFTER_A_FAULT = 5.0  # seconds
AFTER_THE_LAST = timedelta(minutes=10)  # an attempt that is under way for longer died
FAULTS = (WeFailed, SQLAlchemyError, OSError)

Conversation = Callable[[Leg, "PromiseRecord", Claimed], Call]


def place_of(promise_id: UUID) -> str:
    """What the desk calls the place of a promise."""
    return f"{CALLBACK}{promise_id}"


class PromiseRecord(OutgoingRecord):
    """What is kept of one attempt. The promise is kept as soon as the two hear each other.

    So no death of ours in the middle of the conversation has the applicant called once more.
    """

    def __init__(self, journal: Journal, call: Outgoing, promise_id: UUID) -> None:
        super().__init__(journal, call.appeal_id, call.id, call.first_moment)
        self._promise_id = promise_id

    def moment(self, moment: Moment, **detail: str | bool | float) -> None:
        """Note that something happened now."""
        if moment in (Moment.CONNECTED, Moment.REDIRECTED):
            self.ended(State.KEPT)
        super().moment(moment, **detail)

    def ended(self, state: State) -> None:
        """The promise is open no more; the first end stays."""
        self._journal.put(
            PromiseEnded(self.appeal_id, self._promise_id, state.value, datetime.now(UTC))
        )


class Callbacks:
    """One controller's part in it. `run` must be running."""

    def __init__(
        self,
        settings: Settings,
        controller: str,
        engine: AsyncEngine,
        desk: Desk,
        journal: Journal,
        switch: Switch,
        conversation: Conversation,
        queue: Queue,
        is_blocked: Callable[[str | None], bool],
        under_way: dict[str, Call],
    ) -> None:
        """`conversation` makes the call of a leg that answered; `under_way` are those now."""
        self._settings = settings
        self._controller = controller
        self._engine = engine
        self._desk = desk
        self._journal = journal
        self._switch = switch
        self._conversation = conversation
        self._queue = queue
        self._is_blocked = is_blocked
        self._under_way = under_way
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._calling: set[UUID] = set()
        self._overdue: set[UUID] = set()

    async def run(self) -> None:
        """Take care of promises until cancelled: then calls are ended, and others may go on."""
        is_new = True  # what an earlier life of this controller took care of is nobody's now
        try:
            while True:
                try:
                    await self._look(is_new)
                    is_new = False
                except FAULTS as exc:
                    log.error("callbacks wait: %s", type(exc).__name__)
                await asyncio.sleep(LOOK)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, is_new: bool) -> None:
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            if is_new:
                await store.release(connection, self._controller)
            known = list(self._tasks)
            mine = await store.renew(connection, self._controller, now, known) if known else set()
            claimed = await store.claim(connection, self._controller, now, MOST - len(self._tasks))
            overdue = await store.overdue(connection, now)
        for promise_id in self._tasks.keys() - mine - self._calling:
            self._tasks[promise_id].cancel()  # it was ended, or another controller has it
        for owed in claimed:
            task = self._tasks[owed.id] = asyncio.create_task(self._keep(owed))
            task.add_done_callback(partial(self._forget, owed.id))
        new = overdue.keys() - self._overdue
        self._overdue = set(overdue)
        await asyncio.gather(*(self._queue.callback_overdue(each, overdue[each]) for each in new))

    def _forget(self, promise_id: UUID, task: asyncio.Task[None]) -> None:
        if self._tasks.get(promise_id) is task:
            del self._tasks[promise_id]

    async def _keep(self, owed: Claimed) -> None:
        """Wait for a consultant, then call: one attempt."""
        try:
            if owed.attempts > len(self._settings.callback_pauses):
                await self._end(owed, State.UNREACHED)  # we died in the last attempt
            elif self._is_blocked(owed.number) and not owed.urgent:
                await self._end(owed, State.BLOCKED)
            else:
                async with self._desk.place(
                    place_of(owed.id),
                    owed.language,
                    arrived=owed.arrived_at.timestamp(),
                    urgent=owed.urgent,
                ) as place:
                    while await place.offer(OFFER) is None:
                        pass
                    self._calling.add(owed.id)
                    await self._attempt(owed, place)
        except FAULTS as exc:
            log.error("callback %s waits: %s", owed.id, exc)
            await asyncio.sleep(AFTER_A_FAULT)
        finally:
            self._calling.discard(owed.id)
            await asyncio.shield(self._release(owed))

    async def _attempt(self, owed: Claimed, place: DeskPlace) -> None:
        attempt = owed.attempts + 1
        pause = pause_after(attempt, self._settings.callback_pauses)
        call = await self._begun(owed, pause or AFTER_THE_LAST)
        if call is None:
            return
        record = PromiseRecord(self._journal, call, owed.id)
        outcome = Outcome.LOST_TO_A_FAULT
        back = Callback(
            number=call.number,
            shown=self._settings.shown_number,
            attempt=attempt,
            ring_timeout=self._settings.called_ring_timeout,
            record=record,
            switch=self._switch,
            conversation=lambda leg: self._answered(leg, record, owed),
        )
        try:
            outcome = await called_back(back, place)
        except FAULTS as exc:
            log.error("callback %s failed: %s", owed.id, exc)
        except Exception:
            log.exception("callback %s: our part failed", owed.id)
        finally:
            for known in [k for k, c in self._under_way.items() if c.record is record]:
                del self._under_way[known]
            if outcome is Outcome.DECLINED:
                record.ended(State.DECLINED)
            elif pause is None:  # one that was kept stays so
                record.ended(State.UNREACHED)
            record.closed(outcome)

    def _answered(self, leg: Leg, record: PromiseRecord, owed: Claimed) -> Call:
        call = self._conversation(leg, record, owed)
        # Orders for its consultant come by what the desk leased to: at first the promise's place.
        self._under_way[place_of(owed.id)] = self._under_way[leg.id] = call
        return call

    async def _begun(self, owed: Claimed, pause: timedelta) -> Outgoing | None:
        """The attempt as the database knows it; None when the promise is not ours any more."""
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            if not await store.attempt(connection, self._controller, owed.id, now, pause):
                return None
            return await outgoing.begin(
                connection,
                appeal_id=owed.appeal_id,
                call_id=place_of(owed.id),
                number=owed.number,
                consultant_id=None,
                began_at=now,
            )

    async def _end(self, owed: Claimed, state: State) -> None:
        async with unit_of_work(self._engine) as connection:
            await store.end(connection, owed.id, state, datetime.now(UTC))

    async def _release(self, owed: Claimed) -> None:
        try:
            async with unit_of_work(self._engine) as connection:
                await store.release(connection, self._controller, [owed.id])
        except FAULTS as exc:  # the claim ends by itself
            log.error("cannot give back callback %s: %s", owed.id, type(exc).__name__)
