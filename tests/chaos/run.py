"""One run: load, one fault after the other at times by chance, then what the register says."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callcenter.errors import CallcenterError
from callcenter.ledger.jobs import account_for_calls
from callcenter.line.backlog import waiting
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.calls.house import CREW, House, until
from tests.chaos.faults import Fault, Parts, asterisk_killed
from tests.chaos.load import Load, at_work, is_dead

RECOVERS = 60.0  # seconds within which the next caller must be served and written down
_KEPT = """
    SELECT caller_number, count(DISTINCT appeal.id) FILTER (WHERE outcome IS NOT NULL),
        count(recording.id) FILTER (WHERE state IN ('closed', 'stored'))
    FROM appeal LEFT JOIN recording ON recording.appeal_id = appeal.id
    WHERE caller_number LIKE '+7705%' GROUP BY caller_number
"""


@dataclass
class Row:
    """What one fault did."""

    fault: str
    before: int  #: conversations when it began
    after: int  #: of them, those that went on when all was well again
    longest_gap: float  #: seconds, in those, as the caller heard it
    recovery: float  #: seconds until a new caller was served and in the database


@dataclass
class Result:
    rows: list[Row]
    callers: int
    unanswered: int
    conversations: int
    without_appeal: list[str]
    without_recording: list[str]
    stories: list[str]  #: of what is missing, as the register tells them

    @property
    def lost(self) -> bool:
        """Whether anything was lost that could have been kept."""
        cut = [r for r in self.rows if r.after < r.before and r.fault != asterisk_killed.__name__]
        return bool(cut or self.without_appeal or self.without_recording)

    def table(self) -> str:
        """For people."""
        lines = [f"{'fault':<22}{'talking':>8}{'after':>7}{'gap, ms':>9}{'recovery, s':>13}"]
        lines += [
            f"{row.fault:<22}{row.before:>8}{row.after:>7}"
            f"{row.longest_gap * 1000:>9.0f}{row.recovery:>13.1f}"
            for row in self.rows
        ]
        lines.append(
            f"{self.callers} callers, {self.unanswered} not answered, {self.conversations} "
            f"conversations; appeals missing: {len(self.without_appeal)}, "
            f"recordings missing: {len(self.without_recording)}"
        )
        return "\n".join([*lines, *self.stories])


async def chaos(
    parts: Parts, faults: Sequence[Fault], *, seed: int, callers: int, every: float
) -> Result:
    """Have `callers` call, one every `every` seconds on average, and inject these faults."""
    rng = random.Random(seed)
    load = Load(parts.house, rng)
    async with AsyncExitStack() as stack:
        for extension in CREW:
            await stack.enter_async_context(at_work(parts.house, extension))
        arriving = asyncio.create_task(_arrive(load, callers, every))
        rows = []
        for number, fault in enumerate(faults):
            await asyncio.sleep(rng.uniform(2, 5))
            rows.append(await _inject(parts, load, fault, number))
        await arriving
        while load.callers:
            await asyncio.wait(load.callers)
    return await _judged(parts.house, load, rows)


async def _arrive(load: Load, callers: int, every: float) -> None:
    for _ in range(callers):
        load.begin()
        await asyncio.sleep(load.rng.expovariate(1 / every))


async def _inject(parts: Parts, load: Load, fault: Fault, number: int) -> Row:
    load.calm.clear()
    talking, began = load.talking, time.monotonic()
    await fault(parts)
    await until(
        lambda: _serves(parts.house, f"+7706{number:07}"), "a new caller is served", RECOVERS
    )
    recovery = time.monotonic() - began
    go_on = [
        each
        for each in talking
        if each.call is not None and not each.call.is_over and not is_dead(each.call)
    ]
    gap = max((each.longest_gap(began) for each in go_on), default=0.0)
    load.calm.set()
    return Row(fault.__name__, len(talking), len(go_on), gap, recovery)


async def _serves(house: House, number: str) -> bool:
    """Whether a caller is answered by us, as the database says a moment later."""
    try:
        async with house.phone(number) as phone:
            call = await phone.call("111")
            await call.answered(2)
            await asyncio.sleep(0.5)
            await call.hang_up()
        async with asyncio.timeout(2):
            while await house.live_appeal(number) is None:
                await asyncio.sleep(0.1)
    except (CallcenterError, SQLAlchemyError, TimeoutError, OSError):
        return False
    return True


async def _judged(house: House, load: Load, rows: list[Row]) -> Result:
    """What is in the register once everything had its time."""
    answered = [each for each in load.attempts if each.answered]
    tools = Tools(house.settings, house.engine)
    missing: list[str] = []
    unrecorded: list[str] = []

    async def all_is_kept() -> bool:
        if not await asyncio.to_thread(waiting, house.settings.journals):
            await account_for_calls(tools, timedelta())
        async with unit_of_work(house.engine) as connection:
            kept = {row[0]: row[1:] for row in await connection.execute(text(_KEPT))}
        missing[:] = [each.number for each in answered if kept.get(each.number, (0, 0))[0] != 1]
        unrecorded[:] = [
            each.number for each in answered if each.talked and not kept.get(each.number, (0, 0))[1]
        ]
        await asyncio.sleep(0.5)
        return not missing and not unrecorded

    with suppress(AssertionError):  # the result says what is missing
        await until(all_is_kept, "everything is kept", RECOVERS)
    return Result(
        rows,
        len(load.attempts),
        len(load.attempts) - len(answered),
        sum(each.talked for each in load.attempts),
        missing,
        unrecorded,
        [f"{number}: {await house.story(number)}" for number in {*missing, *unrecorded}],
    )
