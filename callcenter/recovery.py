"""What an earlier life of a controller left behind: its channels, and appeals without an outcome.

Conversations go on to their end, everybody else goes to the dialplan's fallback, and every appeal
gets its one outcome (R25).
"""

import asyncio
import logging
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.appeals.store import EventRow
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import CALLED, Switchboard
from callcenter.errors import WeFailed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone
from callcenter.recordings import store as recordings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

SWEEP = 15.0  # seconds between two looks for appeals whose call is no more


class Recovery:
    """One controller's care for what it did not begin itself."""

    def __init__(self, switchboard: Switchboard, engine: AsyncEngine) -> None:
        self._switchboard = switchboard
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, channel_ids: set[str]) -> None:
        """Take care of stranded channels: those who talk go on talking, the others fall back."""
        talks = await self._switchboard.talks()
        for bridge, members in talks.items():
            if members & channel_ids:
                task = asyncio.create_task(self._see_out(bridge, members))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        for channel_id in channel_ids.difference(*talks.values()):
            channel = Channel(self._switchboard.ari, channel_id)
            if channel_id.startswith(CALLED):
                await channel.hang_up()
            else:
                await self._fall_back(channel)

    async def sweep(self) -> None:
        """Until cancelled, close appeals whose call the switch does not know any more.

        A call has to be missing twice in a row: its controller may be writing its outcome.
        """
        missing: set[str] = set()
        while True:
            await asyncio.sleep(SWEEP)
            try:
                before = await self._switchboard.ari.request("GET", "channels")
                there = {channel["id"] for channel in before}
                async with unit_of_work(self._engine) as connection:
                    live = {a.call_id for a in await appeals.live(connection) if a.call_id}
                    for call_id in (live - there) & missing:
                        log.error("call %s ended without a word; its appeal says so", call_id)
                        await _close(connection, call_id, Outcome.LOST_TO_A_FAULT)
                missing = live - there
            except (WeFailed, OSError) as exc:
                log.error("cannot look for lost calls: %s", exc)

    async def _see_out(self, bridge: str, members: set[str]) -> None:
        """Wait until one of a conversation's parties leaves, then end it in order."""
        channels = [self._switchboard.channel(member) for member in members]
        log.warning("conversation %s goes on without the controller that began it", bridge)
        leaving = [asyncio.create_task(channel.gone()) for channel in channels]
        await asyncio.wait(leaving, return_when=asyncio.FIRST_COMPLETED)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for channel in channels:
            await channel.hang_up()
            self._switchboard.forget(channel)
            if not channel.id.startswith(CALLED):
                await self._note(channel.id, Outcome.TALKED)
        await self._switchboard.destroy(bridge)

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
            async with unit_of_work(self._engine) as connection:
                await _close(connection, call_id, outcome)
        except (WeFailed, OSError) as exc:  # the sweep closes it later
            log.error("cannot note the outcome of call %s: %s", call_id, exc)


async def _close(connection: AsyncConnection, call_id: str, outcome: Outcome) -> None:
    """Give the appeal of a call its outcome, and what was recorded to the worker."""
    now = datetime.now(UTC)
    for appeal in await appeals.live(connection):
        if appeal.call_id != call_id:
            continue
        seq = max((event.seq for event in await appeals.events(connection, appeal.id)), default=0)
        detail = {"outcome": outcome.value, "how": "recovered"}
        ended = EventRow(appeal.id, seq + 1, now, Moment.ENDED, detail)
        await appeals.add_events(connection, [ended])
        await appeals.close_appeal(connection, appeal_id=appeal.id, outcome=outcome, ended_at=now)
        for recording in await recordings.of_appeal(connection, appeal.id):
            await recordings.close(connection, recording_id=recording.id, ended_at=now)
