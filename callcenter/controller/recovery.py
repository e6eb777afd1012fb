"""Appeals without an outcome whose call nobody has any more: each gets its one outcome (R25)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals import store as appeals
from callcenter.appeals.store import EventRow
from callcenter.asterisk.switchboard import Switchboard
from callcenter.errors import WeFailed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import RecordingUnproved
from callcenter.line.whereabouts import Whereabouts
from callcenter.recordings import store as recordings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import enqueue_after

log = logging.getLogger(__name__)

SWEEP = 15.0  # seconds between two looks for appeals whose call is no more
NOTED = 2.0  # seconds in which whoever serves a call that ended has noted its outcome
NEW = timedelta(minutes=2)  # within which a call of ours has a leg in the switch
CHECK, CHECK_AFTER = "ledger.check_calls", timedelta(minutes=10)
PROMISED = (Outcome.CALLBACK, Outcome.MESSAGE)  # the caller had what was wanted before the fault
DATABASE_FAULTS = (WeFailed, SQLAlchemyError, OSError)


class Recovery:
    """One controller's care for what it did not begin itself. `spool` is where recordings are."""

    def __init__(
        self,
        switchboard: Switchboard,
        engine: AsyncEngine,
        spool: Path,
        journals_wait: Callable[[], bool],
        by_ledger: Callable[[Collection[str], datetime], Mapping[str, Outcome]],
    ) -> None:
        """`journals_wait`: something that was noted of calls is not in the database yet.

        `by_ledger` tells what became of these calls, begun then or later, as the switch has it;
        it blocks, and raises WeFailed and OSError when the switch's ledger cannot be read.
        """
        self._switchboard = switchboard
        self._engine = engine
        self._spool = spool
        self._journals_wait = journals_wait
        self._by_ledger = by_ledger
        self._asking: asyncio.Task[None] | None = None

    def have_checked(self) -> None:
        """Have the register compared with the switch once all is over: something was recovered."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(ask_for_check(self._engine))

    async def sweep(self) -> None:
        """Until cancelled, close appeals whose call the switch does not know any more.

        A call has to be missing twice in a row: its controller may be writing its outcome. While
        a journal waits for the database no call is missing: its outcome may be there.
        """
        missing: set[str] = set()
        while True:
            await asyncio.sleep(SWEEP)
            if await asyncio.to_thread(self._journals_wait):
                missing = set()
                continue
            try:
                lost = await self._missing()
                await self._close_lost({each: lost[each] for each in lost.keys() & missing})
                missing = set(lost)
            except DATABASE_FAULTS as exc:
                log.error("cannot look for lost calls: %s", exc)

    async def left_meanwhile(self, where: Callable[[str], Awaitable[Whereabouts | None]]) -> None:
        """Close the calls of callers who hung up while a controller handed over in order.

        In that third of a second nobody may note anything of a call; but no fault ended it.
        `where` a call is tells what became of it. Others are left to the sweep.
        """
        try:
            ended = await self._missing()
            await asyncio.sleep(NOTED)
            if await asyncio.to_thread(self._journals_wait):
                return
            for call_id, call in (await self._missing()).items():
                left = await where(call_id) if call_id in ended and not call.outgoing_id else None
                if left is not None:
                    await self._close(call_id, left.if_left)
        except DATABASE_FAULTS as exc:
            log.error("cannot look for callers who left meanwhile: %s", exc)

    async def _missing(self) -> dict[str, "_LiveCall"]:
        """Calls without an outcome that the switch does not know, by the id of their leg."""
        before = await self._switchboard.channels.ari.request("GET", "channels")
        there = {channel["id"] for channel in before}
        async with unit_of_work(self._engine) as connection:
            live = await _live(connection)
        return {i: call for i, call in live.items() if i not in there and not call.is_new}

    async def _close_lost(self, lost: Mapping[str, "_LiveCall"]) -> None:
        """Close calls that the switch does not know any more, and of which nobody said a word."""
        told = await self._told_by_switch(lost)
        for call_id in lost:
            log.error("call %s ended without a word; its appeal says so", call_id)
            became = await self._became(call_id)
            if became not in PROMISED:
                became = told.get(call_id, Outcome.LOST_TO_A_FAULT)
            await self._close(call_id, became)

    async def _told_by_switch(self, lost: Mapping[str, "_LiveCall"]) -> Mapping[str, Outcome]:
        """Some ended in order while nobody of ours was there: talked to the end, or fell back."""
        if not lost:
            return {}
        since = min(call.began_at for call in lost.values())
        try:
            return await asyncio.to_thread(self._by_ledger, lost, since)
        except (WeFailed, OSError) as exc:
            log.error("the switch's ledger cannot say what became of calls: %s", exc)
            return {}

    async def conversation_over(self, call_id: str) -> None:
        """A conversation ended while nobody of ours was there: close its appeal."""
        try:
            await self._close(call_id, await self._became(call_id) or Outcome.TALKED)
        except DATABASE_FAULTS as exc:  # the sweep closes it later
            log.error("cannot note the outcome of call %s: %s", call_id, exc)

    async def where(self, call_id: str) -> Whereabouts | None:
        """Where a call is by its appeal, when the switch does not say; None: nobody knows it."""
        try:
            async with unit_of_work(self._engine) as connection:
                call = (await _live(connection)).get(call_id)
                if call is None or call.outgoing_id is not None:
                    return None
                appeal = await appeals.by_id(connection, call.appeal_id)
                events = await call.events(connection)
        except DATABASE_FAULTS as exc:
            log.error("cannot read where call %s is: %s", call_id, exc)
            return None
        language = (appeal.language if appeal else None) or ""
        first = max((event.seq for event in events), default=1)
        urgencies = tuple(appeal.urgent) if appeal else ()
        where = Whereabouts(str(call.appeal_id), first, language=language, urgencies=urgencies)
        for event in events:
            where = where.after(Moment(event.kind), dict(event.detail), event.at.timestamp())
        return where

    async def _became(self, call_id: str) -> Outcome | None:
        """What a call had come to, as far as it was written: None before a conversation."""
        try:
            async with unit_of_work(self._engine) as connection:
                call = (await _live(connection)).get(call_id)
                events = [] if call is None else await call.events(connection)
        except DATABASE_FAULTS as exc:
            log.error("cannot read what became of call %s: %s", call_id, exc)
            return None
        return _outcome_of(events)

    async def _close(self, call_id: str, outcome: Outcome) -> None:
        """Give a call its outcome on its appeal, and what was recorded to the worker."""
        async with unit_of_work(self._engine) as connection:
            call = (await _live(connection)).get(call_id)
            if call is None:
                return
            running = [
                each
                for each in await recordings.of_appeal(connection, call.appeal_id)
                if each.state == "recording" and each.started_at >= call.began_at
            ]
        for recording in running:
            try:
                await self._switchboard.recording_closed(self._spool / recording.spool_name)
            except RecordingUnproved as exc:
                log.error("call %s: %s", call_id, exc)
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            events = await call.events(connection)
            seq = max((event.seq for event in events), default=call.first_moment - 1) + 1
            detail = {"outcome": outcome.value, "how": "recovered"}
            ended = EventRow(call.appeal_id, seq, now, Moment.ENDED, detail)
            if await call.close(connection, outcome, now):
                await appeals.add_events(connection, [ended])
                # Whatever was lost with our part, the switch knows it (callcenter/ledger/jobs.py).
                await enqueue_after(connection, CHECK, CHECK_AFTER)
            for recording in running:
                await recordings.close(connection, recording_id=recording.id, ended_at=now)


async def ask_for_check(engine: AsyncEngine) -> None:
    """As `Recovery.have_checked`. A database that is away is logged: its own return is checked."""
    try:
        async with unit_of_work(engine) as connection:
            await enqueue_after(connection, CHECK, CHECK_AFTER)
    except DATABASE_FAULTS as exc:
        log.error("the register is not checked before the night: %s", type(exc).__name__)


@dataclass(frozen=True, slots=True)
class _LiveCall:
    """A call without an outcome: the one that opened an appeal, or one of ours about it."""

    appeal_id: UUID
    began_at: datetime
    outgoing_id: UUID | None = None
    first_moment: int = 1

    @property
    def is_new(self) -> bool:
        """Whether it may be a call of ours for which somebody is being rung."""
        return self.outgoing_id is not None and datetime.now(UTC) - self.began_at < NEW

    async def events(self, connection: AsyncConnection) -> list[EventRow]:
        """Its moments among those of the appeal."""
        mine = range(self.first_moment, self.first_moment + outgoing.MOMENTS)
        return [e for e in await appeals.events(connection, self.appeal_id) if e.seq in mine]

    async def close(self, connection: AsyncConnection, outcome: Outcome, at: datetime) -> bool:
        if self.outgoing_id is not None:
            return await outgoing.close(connection, self.outgoing_id, outcome=outcome, ended_at=at)
        return await appeals.close_appeal(
            connection, appeal_id=self.appeal_id, outcome=outcome, ended_at=at
        )


async def _live(connection: AsyncConnection) -> dict[str, _LiveCall]:
    """All calls without an outcome, by the switch's id of the leg that lives as long."""
    opened = {
        appeal.call_id: _LiveCall(appeal.id, appeal.received_at)
        for appeal in await appeals.live(connection)
        if appeal.call_id
    }
    return opened | {
        call.call_id: _LiveCall(call.appeal_id, call.began_at, call.id, call.first_moment)
        for call in await outgoing.live(connection)
    }


def _outcome_of(events: Sequence[EventRow]) -> Outcome | None:
    kinds = {event.kind for event in events}
    if Moment.REDIRECTED in kinds:
        return Outcome.REDIRECTED
    if Moment.CONNECTED in kinds:
        return Outcome.TALKED
    if Moment.CALLBACK_PROMISED in kinds:
        return Outcome.CALLBACK
    if Moment.MESSAGE_LEFT in kinds:
        return Outcome.MESSAGE
    return None
