"""Recover lost calls: close appeals without an outcome whose call is over (R25)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import EventRow
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_after
from callcenter.recordings import store as recordings
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.calls.outcomes import (
    CallEvent,
    Outcome,
    find_lost_outcome,
    find_written_outcome,
)
from callcenter.telephony.calls.ports import RecordingUnconfirmed
from callcenter.telephony.outbound.rules import ORIGINATE_TIMEOUT

log = logging.getLogger(__name__)

SWEEP_INTERVAL = 15.0  # seconds between two looks for appeals whose call is over
NOTE_TIMEOUT = 2.0  # seconds in which the controller of a call that ended notes its outcome
CHECK, CHECK_AFTER = "ledger.check_calls", timedelta(minutes=10)
DATABASE_FAULTS = (OperationFailed, SQLAlchemyError, OSError)


class LostCallRecovery:
    """Closes lost calls, for one controller. `spool` is the folder of open recordings."""

    def __init__(
        self,
        switch: AsteriskSwitch,
        engine: AsyncEngine,
        spool: Path,
        has_waiting_journals: Callable[[], bool],
        outcomes_by_cel: Callable[[Collection[str], datetime], Mapping[str, Outcome]],
    ) -> None:
        """`has_waiting_journals`: some entries about calls are not in the database yet; it blocks.

        `outcomes_by_cel` reads the outcomes of these calls, begun then or later, from Asterisk's
        CEL; it blocks, and raises OperationFailed and OSError when CEL cannot be read.
        """
        self._switch = switch
        self._engine = engine
        self._spool = spool
        self._has_waiting_journals = has_waiting_journals
        self._outcomes_by_cel = outcomes_by_cel
        self._request: asyncio.Task[None] | None = None

    def request_reconciliation(self) -> None:
        """Request a reconciliation with Asterisk's CEL soon: something was recovered."""
        if self._request is None or self._request.done():
            self._request = asyncio.create_task(request_check(self._engine))

    async def sweep(self, is_ours: Callable[[], bool]) -> None:
        """Close appeals whose call Asterisk has no more, until cancelled; one controller does it.

        A call has to be missing twice in a row: its controller may be writing its outcome. While
        a journal waits for the database no call is missing: its outcome may be there.
        """
        missing: set[str] = set()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            if not is_ours() or await asyncio.to_thread(self._has_waiting_journals):
                missing = set()
                continue
            try:
                lost = await self._missing()
                await self._close_lost({i: call for i, call in lost.items() if i in missing})
                missing = set(lost)
            except DATABASE_FAULTS as exc:
                log.error("sweep for lost calls failed: %s", exc)

    async def close_hung_up_during_handover(
        self, load_state: Callable[[str], Awaitable[CallState | None]]
    ) -> None:
        """Close the calls of callers who hung up while a controller handed over in order.

        In that third of a second nobody may note anything of a call; but no fault ended it.
        The saved state of a call tells its outcome. Others are left to the sweep.
        """
        try:
            ended = await self._missing()
            await asyncio.sleep(NOTE_TIMEOUT)
            if await asyncio.to_thread(self._has_waiting_journals):
                return
            for call_id, call in (await self._missing()).items():
                is_ended = call_id in ended and not call.outgoing_id
                state = await load_state(call_id) if is_ended else None
                if state is not None:
                    await self._close(call_id, state.if_left)
        except DATABASE_FAULTS as exc:
            log.error("sweep after a handover failed: %s", exc)

    async def _missing(self) -> dict[str, "_OpenCall"]:
        """Calls without an outcome that Asterisk does not have, by the id of their leg."""
        before = await self._switch.channels.ari.request("GET", "channels")
        there = {channel["id"] for channel in before}
        async with unit_of_work(self._engine) as connection:
            live = await _live(connection)
        return {i: call for i, call in live.items() if i not in there and not call.is_new}

    async def _close_lost(self, lost: Mapping[str, "_OpenCall"]) -> None:
        """Close calls that Asterisk has no more, and whose outcome no controller wrote."""
        by_cel = await self._read_cel(lost)
        for call_id in lost:
            log.error("lost call closed: %s", call_id)
            outcome = find_lost_outcome(await self._written_kinds(call_id), by_cel.get(call_id))
            await self._close(call_id, outcome)

    async def _read_cel(self, lost: Mapping[str, "_OpenCall"]) -> Mapping[str, Outcome]:
        """Outcomes of those that ended in order without us: talked to the end, or fell back."""
        if not lost:
            return {}
        since = min(call.began_at for call in lost.values())
        try:
            return await asyncio.to_thread(self._outcomes_by_cel, lost, since)
        except (OperationFailed, OSError) as exc:
            log.error("outcomes not read from CEL: %s", exc)
            return {}

    async def close_conversation(self, call_id: str) -> None:
        """Close the appeal of a conversation that ended while no controller had it."""
        try:
            written = find_written_outcome(await self._written_kinds(call_id))
            await self._close(call_id, written or Outcome.TALKED)
        except DATABASE_FAULTS as exc:  # the sweep closes it later
            log.error("outcome of call %s not written: %s", call_id, exc)

    async def reconstruct_state(self, call_id: str) -> CallState | None:
        """The state of a call from its appeal, when none was saved; None: there is no such call."""
        try:
            async with unit_of_work(self._engine) as connection:
                call = (await _live(connection)).get(call_id)
                if call is None or call.outgoing_id is not None:
                    return None
                appeal = await appeals.find_by_id(connection, call.appeal_id)
                events = await call.events(connection)
        except DATABASE_FAULTS as exc:
            log.error("state of call %s not read: %s", call_id, exc)
            return None
        language = (appeal.language if appeal else None) or ""
        first = max((event.seq for event in events), default=1)
        urgencies = tuple(appeal.urgent) if appeal else ()
        state = CallState(str(call.appeal_id), first, language=language, urgencies=urgencies)
        for event in events:
            state = state.after(CallEvent(event.kind), dict(event.detail), event.at.timestamp())
        consultant_id = appeal.consultant_id if appeal else None
        return replace(state, consultant_id=str(consultant_id or ""))

    async def _written_kinds(self, call_id: str) -> set[str]:
        """The kinds of a call's events that are in the database."""
        """The outcome of a call as far as it was written; None before a conversation."""
        try:
            async with unit_of_work(self._engine) as connection:
                call = (await _live(connection)).get(call_id)
                events = [] if call is None else await call.events(connection)
        except DATABASE_FAULTS as exc:
            log.error("events of call %s not read: %s", call_id, exc)
            return set()
        return {event.kind for event in events}

    async def _close(self, call_id: str, outcome: Outcome) -> None:
        """Write the outcome to the appeal, and give open recordings to the worker."""
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
                await self._switch.recording_closed(self._spool / recording.spool_name)
            except RecordingUnconfirmed as exc:
                log.error("recording not confirmed: call %s: %s", call_id, exc)
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            events = await call.events(connection)
            seq = max((event.seq for event in events), default=call.first_seq - 1) + 1
            detail = {"outcome": outcome.value, "how": "recovered"}
            ended = EventRow(call.appeal_id, seq, now, CallEvent.ENDED, detail)
            if await call.close(connection, outcome, now):
                await appeals.add_events(connection, [ended])
                # Whatever was lost here, Asterisk's CEL has it (reconciliation/jobs.py).
                await enqueue_after(connection, CHECK, CHECK_AFTER)
            for recording in running:
                await recordings.close(connection, recording_id=recording.id, ended_at=now)


async def request_check(engine: AsyncEngine) -> None:
    """Enqueue a reconciliation. A database fault is logged: its return is reconciled anyway."""
    try:
        async with unit_of_work(engine) as connection:
            await enqueue_after(connection, CHECK, CHECK_AFTER)
    except DATABASE_FAULTS as exc:
        log.error("reconciliation not requested: %s", type(exc).__name__)


@dataclass(frozen=True, slots=True)
class _OpenCall:
    """A call without an outcome: the one that opened an appeal, or one of ours about it."""

    appeal_id: UUID
    began_at: datetime
    outgoing_id: UUID | None = None
    first_seq: int = 1

    @property
    def is_new(self) -> bool:
        """Whether it may be a call of ours for which somebody is being rung."""
        return (
            self.outgoing_id is not None and datetime.now(UTC) - self.began_at < ORIGINATE_TIMEOUT
        )

    async def events(self, connection: AsyncConnection) -> list[EventRow]:
        """Its events among those of the appeal."""
        mine = range(self.first_seq, self.first_seq + outbound_calls.EVENTS_PER_CALL)
        return [e for e in await appeals.events(connection, self.appeal_id) if e.seq in mine]

    async def close(self, connection: AsyncConnection, outcome: Outcome, at: datetime) -> bool:
        if self.outgoing_id is not None:
            return await outbound_calls.close(
                connection, self.outgoing_id, outcome=outcome, ended_at=at
            )
        return await appeals.close_appeal(
            connection, appeal_id=self.appeal_id, outcome=outcome, ended_at=at
        )


async def _live(connection: AsyncConnection) -> dict[str, _OpenCall]:
    """All calls without an outcome, by Asterisk's id of the leg that lasts as long."""
    opened = {
        appeal.call_id: _OpenCall(appeal.id, appeal.received_at)
        for appeal in await appeals.live(connection)
        if appeal.call_id
    }
    return opened | {
        call.call_id: _OpenCall(call.appeal_id, call.began_at, call.id, call.first_seq)
        for call in await outbound_calls.live(connection)
    }
