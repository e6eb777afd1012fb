"""A controller that hears nothing, all too late, or twice; that stands still, or has no memory.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext

import pytest

from callcenter.line.outcomes import Moment, Outcome
from tests.calls.ailing import BLOCKABLE, BLOCKED, block, no_memory_for
from tests.calls.fragile import (
    all_is_kept,
    both_hear,
    connected,
    falls_back,
    has_calls,
    has_happened,
    held,
    sees,
    unbroken,
    waited,
)
from tests.calls.house import CONSULTANT_TONE, House, running_controller, until
from tests.calls.parts import Line, running_line
from tests.calls.relays import (
    EventRelay,
    flooded,
    passed_on,
    relayed_ari,
    swallowed,
    told_late,
    told_twice,
)
from tests.calls.stalls import Stalls
from tests.calls.talking import hears_no_tone, hears_tone, order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

Begins = Callable[[EventRelay, Line], AbstractContextManager[object]]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@asynccontextmanager
async def relayed(house: House) -> AsyncIterator[tuple[EventRelay, Line]]:
    """The controller line-1, and what its events come by."""
    async with (
        relayed_ari(house) as (relay, settings),
        running_line(settings, "line-1", program=BLOCKABLE) as line,
    ):
        yield relay, line


def deaf(relay: EventRelay, line: Line) -> AbstractContextManager[object]:
    """Asterisk answers all that is asked, and tells nothing."""
    relay.fate = swallowed
    return nullcontext()


def half_open(relay: EventRelay, line: Line) -> AbstractContextManager[object]:
    """Connections are there, also new ones, and nothing passes."""
    relay.flows.clear()
    return nullcontext()


def blocked(relay: EventRelay, line: Line) -> AbstractContextManager[object]:
    block(line)
    return nullcontext()


def out_of_memory(relay: EventRelay, line: Line) -> AbstractContextManager[object]:
    memory = ExitStack()
    try:
        memory.enter_context(no_memory_for(line))
    except OSError as exc:
        pytest.skip(f"this machine lets nobody limit memory: {exc}")
    return memory


FAULTS: list[Begins] = [deaf, half_open, blocked, out_of_memory]


@pytest.mark.parametrize("begins", FAULTS)
async def test_another_controller_goes_on_with_the_calls_of_one_that(
    house: House, begins: Begins
) -> None:
    number = f"+7702005100{FAULTS.index(begins)}"
    waits = number[:-2] + "9" + number[-1]
    async with (
        relayed(house) as (relay, line),
        house.softphone("201") as consultant,
        house.caller(number) as caller,
        house.caller(waits) as waiting,
        running_controller(house.settings, "line-2", house.engine, house.redis) as peer,
        Stalls() as stalls,
    ):
        peer.channels.claiming = False
        await until(lambda: sees(peer, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        await waiting.press("0")
        await has_happened(house, waits, Moment.WAITING)
        since = time.monotonic()
        with begins(relay, line):
            await until(lambda: has_calls(peer, 2), "the other controller has the calls", 15)
            asked_at = await held(house, number, "201")
            unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await until(lambda: is_over(line), "the first one was killed", 15)
        relay.flows.set()
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        again = await consultant.next_call(30)
        await again.answer()
        await both_hear(waiting, again)
        await again.hang_up()
        await waiting.ended()
        appeals = [await house.appeal(each) for each in (number, waits)]
    await all_is_kept(house, [appeal.caller_number or "" for appeal in appeals])


async def is_over(line: Line) -> bool:
    return line.has_ended


@pytest.mark.parametrize("begins", FAULTS[:3])
async def test_the_only_controller_goes_on_once_it_hears_again_after_it_was(
    house: House, begins: Begins
) -> None:
    number = f"+7702005200{FAULTS.index(begins)}"
    async with (
        relayed(house) as (relay, line),
        house.softphone("201") as consultant,
        house.caller(number) as caller,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        since = time.monotonic()
        with begins(relay, line):
            await asyncio.sleep(BLOCKED)
        relay.fate = passed_on
        relay.flows.set()
        asked_at = await held(house, number, "201")
        unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await house.appeal(number)
        assert not line.has_ended
    await all_is_kept(house, [number])


async def test_a_queue_that_is_full_since_nobody_reads_it_loses_nothing_and_delays_nobody(
    house: House,
) -> None:
    """Asterisk closes the connection; what it could not tell is looked up when there is another."""
    talks, leaves, new = (f"+7702005400{each}" for each in range(3))
    async with (
        relayed(house) as (relay, line),
        house.softphone("201") as consultant,
        house.caller(talks) as caller,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, talks, Moment.RECORDING_STARTED)
        since = time.monotonic()
        async with house.caller(leaves):
            await has_happened(house, leaves, Moment.GREETING)
            await flooded(house, relay)
            async with house.caller(new) as next_one:
                assert waited(next_one) < 1.0 + stalls.longest
                await falls_back(house, next_one)
        relay.reads.set()
        asked_at = await held(house, talks, "201")
        unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        assert (await house.appeal(leaves)).outcome == Outcome.LEFT_IN_GREETING
        assert not line.has_ended
    await all_is_kept(house, [talks])


@pytest.mark.parametrize("how", ["twice", "late"])
async def test_events_that_come(house: House, how: str) -> None:
    number = f"+7702005300{['twice', 'late'].index(how)}"
    async with relayed(house) as (relay, _), house.softphone("202") as consultant:
        relay.fate = told_twice if how == "twice" else relay.fate
        async with house.caller(number) as caller:
            if how == "late":  # who calls later falls back: nobody claims the call in time
                relay.fate = told_late
            await consultant.register()
            await caller.press("2")
            await house.hears(caller, "ru", "emergency_hint")
            await caller.press("1")
            leg = await consultant.next_call(20)
            await leg.answer()
            await both_hear(caller, leg)
            await leg.press("*5")
            await hears_no_tone(caller, CONSULTANT_TONE)
            await has_happened(house, number, Moment.HELD)
            await asyncio.sleep(1)  # a key that counts twice would end it again
            await hears_no_tone(caller, CONSULTANT_TONE)
            await leg.press("*5")
            await hears_tone(caller, CONSULTANT_TONE)
            await leg.hang_up()
            await caller.ended()
            appeal = await house.appeal(number)
    assert appeal.language == "ru"
    await all_is_kept(house, [number])
    async with house.engine.connect() as connection:
        query = "SELECT count(*) FROM appeal WHERE caller_number = %s"
        assert (await connection.exec_driver_sql(query, (number,))).scalar() == 1
