"""What an earlier life of a controller left behind: its channels, and appeals without an outcome.

Conversations go on to their end, everybody else goes to the dialplan's fallback, and every appeal
gets its one outcome (R25).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals import store as appeals
from callcenter.appeals.store import EventRow
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import CALLED, Switchboard, caller_of
from callcenter.errors import WeFailed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone, LegLost, RecordingUnproved
from callcenter.recordings import store as recordings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import enqueue_once

log = logging.getLogger(__name__)

SWEEP = 15.0  # seconds between two looks for appeals whose call is no more
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
    ) -> None:
        """`journals_wait`: something that was noted of calls is not in the database yet."""
        self._switchboard = switchboard
        self._engine = engine
        self._spool = spool
        self._journals_wait = journals_wait
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, channel_ids: set[str]) -> None:
        """Take care of stranded channels: those who talk go on talking, the others fall back.

        `channel_ids` includes the callers of stranded conversations, who may have gone.
        """
        talks = await self._switchboard.talks()
        mine = {bridge: legs for bridge, legs in talks.items() if caller_of(bridge) in channel_ids}
        for bridge in mine:
            task = asyncio.create_task(self._see_out(bridge))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        callers = map(caller_of, mine)
        for channel_id in channel_ids.difference(*mine.values(), callers):
            channel = Channel(self._switchboard.ari, channel_id)
            if channel_id.startswith(CALLED):
                await channel.hang_up()
            else:
                await self._fall_back(channel)

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
                before = await self._switchboard.ari.request("GET", "channels")
                there = {channel["id"] for channel in before}
                async with unit_of_work(self._engine) as connection:
                    known = await _live(connection)
                live = {call_id for call_id, call in known.items() if not call.is_new}
                for call_id in (live - there) & missing:
                    log.error("call %s ended without a word; its appeal says so", call_id)
                    became = await self._became(call_id)
                    await self._close(
                        call_id, became if became in PROMISED else Outcome.LOST_TO_A_FAULT
                    )
                missing = live - there
            except DATABASE_FAULTS as exc:
                log.error("cannot look for lost calls: %s", exc)

    async def _see_out(self, bridge: str) -> None:
        """Wait until nobody talks with the caller, or the caller leaves; then end it in order.

        A caller who never heard a consultant falls back, and so does one who was set aside: the
        consultant cannot bring that one back any more.
        """
        caller_id = caller_of(bridge)
        here = (await self._switchboard.talks()).get(bridge, set())
        channels = [self._switchboard.channel(each) for each in here]
        # Their events are kept from here on, so whoever is there now cannot leave unnoticed.
        still = (await self._switchboard.talks()).get(bridge, set())
        outcome = await self._became(caller_id)
        if len(still) >= 2 and caller_id in still:
            log.warning("conversation %s goes on without the controller that began it", bridge)
            outcome = await _until_nobody_talks(channels, caller_id) or outcome or Outcome.TALKED
        elif caller_id not in still and await self._is_there(caller_id):  # and was aside
            channels.append(self._switchboard.channel(caller_id))
            outcome = None
        for channel in channels:
            self._switchboard.forget(channel)
            if channel.id == caller_id and outcome is None and not caller_id.startswith(CALLED):
                await self._fall_back(channel)
            else:
                await channel.hang_up()
        await self._switchboard.destroy(bridge)
        if outcome is not None:
            await self._note(caller_id, outcome)

    async def _is_there(self, channel_id: str) -> bool:
        channels = await self._switchboard.ari.request("GET", "channels")
        return channel_id in {channel["id"] for channel in channels}

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

    async def _fall_back(self, channel: Channel) -> None:
        try:
            await channel.leave_to_fallback()
        except (LegGone, WeFailed) as exc:
            log.error("stranded call %s cannot go to the fallback: %s", channel.id, exc)
            await self._note(channel.id, Outcome.LOST_TO_A_FAULT)
        else:
            log.warning("stranded call %s goes on in the fallback", channel.id)
            await self._note(channel.id, Outcome.FALLBACK)

    async def _note(self, call_id: str, outcome: Outcome) -> None:
        try:
            await self._close(call_id, outcome)
        except DATABASE_FAULTS as exc:  # the sweep closes it later
            log.error("cannot note the outcome of call %s: %s", call_id, exc)

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
                await enqueue_once(connection, CHECK, after=CHECK_AFTER)
            for recording in running:
                await recordings.close(connection, recording_id=recording.id, ended_at=now)


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


async def _until_nobody_talks(channels: Sequence[Channel], caller_id: str) -> Outcome | None:
    """Return when the caller has hung up, or all others have.

    The outcome when they vanished with the switch instead.
    """
    leaving = {asyncio.create_task(each.gone()): each.id for each in channels}
    there: set[asyncio.Task[None]] = set(leaving)
    lost = False
    while len(there) >= 2 and caller_id in {leaving[task] for task in there}:
        done, there = await asyncio.wait(there, return_when=asyncio.FIRST_COMPLETED)
        lost = lost or any(isinstance(task.exception(), LegLost) for task in done)
    for task in there:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    return Outcome.LOST_TO_A_FAULT if lost else None


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
