"""One run: load, one fault after the other at times by chance, then what the register says."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callcenter.errors import CallcenterError
from callcenter.ledger.jobs import account_for_calls, check_calls
from callcenter.line.backlog import waiting
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.calls.house import CREW, House, until
from tests.calls.stalls import Stalls
from tests.chaos.faults import Fault, NotTried, Parts
from tests.chaos.load import Load, at_work, is_dead
from tests.chaos.result import HEAD, Result, Row

TALKING, TALK_SOON = 3, 10.0  # conversations in which a fault is injected, if they come by then
SETTLES = 3.0  # seconds for a transfer or a hold that was begun
RECOVERS = 60.0  # seconds within which the next caller must be served and written down
# Of a conversation of milliseconds there is no packet that could have been recorded.
_KEPT = """
    SELECT caller_number, count(DISTINCT appeal.id) FILTER (WHERE outcome IS NOT NULL),
        count(recording.id) FILTER (WHERE state = 'stored'),
        count(recording.id) FILTER (WHERE state IN ('recording', 'closed')),
        count(recording.id) FILTER (WHERE state = 'failed' AND coalesce(
            recording.ended_at - started_at, interval '1 s') > interval '0.1 s' OR abs(
            duration_ms - 1000 * extract(epoch FROM recording.ended_at - started_at)) > 2000),
        bool_or(outcome = 'lost_to_a_fault'),
        bool_or(outcome = 'lost_to_a_fault'
            AND recording.ended_at - started_at < interval '2 seconds')
    FROM appeal LEFT JOIN recording ON recording.appeal_id = appeal.id
    WHERE caller_number LIKE '+7705%' GROUP BY caller_number
"""
_NOTHING = (0, 0, 0, 0, False, False)


def silently(_: str) -> None:
    """Say nothing of how it goes."""


async def chaos(
    parts: Parts,
    faults: Sequence[Fault],
    *,
    seed: int,
    callers: int,
    every: float,
    crew: Sequence[str] = tuple(CREW),
    say: Callable[[str], None] = silently,
) -> Result:
    """Have `callers` call, one every `every` seconds on average, and inject these faults."""
    began, rng = datetime.now(UTC), random.Random(seed)
    load = Load(parts.house, seed, crew)
    known = await _differences(parts.house, began)
    say(HEAD)
    async with AsyncExitStack() as stack:
        for extension in crew:
            await stack.enter_async_context(at_work(load, extension))
        arriving = asyncio.create_task(_arrive(load, callers, every))
        rows = []
        for number, fault in enumerate(faults):
            await asyncio.sleep(rng.uniform(2, 5))
            with suppress(AssertionError):  # else there are too few callers
                await until(lambda: _some_talk(load), "some talk", TALK_SOON)
            rows.append(await _inject(parts, load, fault, number))
            say(rows[-1].line())
        await arriving
        while load.callers:
            await asyncio.wait(load.callers)
    say("all faults are over, the last callers have gone; looking at what was kept")
    result = Result(rows, load.attempts)
    await _judge(parts, result, began, known)
    return result


async def _some_talk(load: Load) -> bool:
    return len(load.talking) >= TALKING


async def _arrive(load: Load, callers: int, every: float) -> None:
    for _ in range(callers):
        load.begin()
        await asyncio.sleep(load.rng.expovariate(1 / every))


async def _inject(parts: Parts, load: Load, fault: Fault, number: int) -> Row:
    load.calm.clear()
    await asyncio.sleep(SETTLES)  # what consultants had begun is not the fault's
    talking = [each for each in load.talking if each.call and not is_dead(each.call)]
    hearing = [each for each in talking if each.hears_a_consultant]  # and no music
    row = Row(fault.__name__, time.monotonic(), len(talking))
    async with Stalls() as stalls:
        try:
            await fault(parts)
            caller = f"+7706{number:07}"
            await until(lambda: _serves(parts, caller), "a new caller is served", RECOVERS)
        except NotTried as exc:
            row.not_tried = str(exc)
    row.stalled = stalls.longest
    row.ended = time.monotonic()
    row.recovery = row.ended - row.began
    go_on = [
        each
        for each in talking
        if each.call is not None and not each.call.is_over and not is_dead(each.call)
    ]
    row.after = len(go_on)
    row.longest_gap = max(
        (each.longest_gap(row.began) for each in go_on if each in hearing), default=0.0
    )
    load.calm.set()
    return row


async def _serves(parts: Parts, number: str) -> bool:
    """Whether a caller is answered by us, as the database says a moment later."""
    await parts.revive()
    try:
        async with parts.house.phone(number) as phone:
            call = await phone.call("111")
            await call.answered(2)
            await asyncio.sleep(0.5)
            await call.hang_up()
        async with asyncio.timeout(2):
            while await parts.house.live_appeal(number) is None:
                await asyncio.sleep(0.1)
    except (CallcenterError, SQLAlchemyError, TimeoutError, OSError):
        return False
    return True


async def _judge(parts: Parts, result: Result, began: datetime, known: Collection[str]) -> None:
    """What is in the register once everything had its time, but for what was `known` before."""
    house = parts.house
    tools = Tools(house.settings, house.engine)

    async def all_is_kept() -> bool:
        await parts.revive()
        if not await asyncio.to_thread(waiting, house.settings.journals):
            await account_for_calls(tools, timedelta())
        return await _look(house, result)

    with suppress(AssertionError):  # the result says what is missing
        await until(all_is_kept, "everything is kept", RECOVERS)
    _, mended = await check_calls(tools, since=began, until=datetime.now(UTC), mending=True)
    result.mended = len(mended)
    result.differences = [each for each in await _differences(house, began) if each not in known]
    await _look(house, result)
    result.blame()
    unkept = {*result.without_appeal, *result.without_recording, *result.with_gaps}
    result.stories = [f"{number}: {await house.story(number)}" for number in sorted(unkept)]


async def _differences(house: House, since: datetime) -> list[str]:
    """Between register and switch, of calls since then, and files that nobody knows."""
    tools = Tools(house.settings, house.engine)
    left, _ = await check_calls(tools, since=since, until=datetime.now(UTC), mending=False)
    return [f"{each.kind}: {each.subject}: {each.why}" for each in left]


async def _look(house: House, result: Result) -> bool:
    """Put down what is missing; whether nothing is, and nothing is under way."""
    async with unit_of_work(house.engine) as connection:
        kept = {row[0]: row[1:] for row in await connection.execute(text(_KEPT))}
    answered = [each for each in result.attempts if each.answered]
    known = {each.number: kept.get(each.number, _NOTHING) for each in answered}
    result.without_appeal = [number for number, has in known.items() if has[0] != 1]
    # What Asterisk had not written yet when it was killed is nowhere: it writes second by second.
    result.without_recording = [
        each.number
        for each in answered
        if each.talked and not known[each.number][1] and not known[each.number][5]
    ]
    result.with_gaps = [number for number, has in known.items() if has[3] and not has[4]]
    under_way = any(has[2] for has in known.values())
    await asyncio.sleep(0.5)
    return not (result.without_appeal or result.without_recording or under_way)
