"""A controller that hears nothing, all too late, or twice; that stands still, or has no memory.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CONSULTANT_TONE, CallCenter, running_controller
from tests.calls.disposable_stack import (
    all_is_stored,
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
from tests.calls.faulty_controllers import BLOCKABLE, BLOCKED, block, hang, no_memory_for
from tests.calls.processes import ControllerProgram, running_controller_program
from tests.calls.stall_meter import Stalls
from tests.calls.talking import hears_no_tone, hears_tone, order
from tests.calls.tcp_proxies import (
    EventRelay,
    delivered_late,
    delivered_twice,
    flooded,
    passed_on,
    relayed_ari,
    swallowed,
)
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

Begins = Callable[[EventRelay, ControllerProgram], AbstractContextManager[object]]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@asynccontextmanager
async def relayed(call_center: CallCenter) -> AsyncIterator[tuple[EventRelay, ControllerProgram]]:
    """The controller line-1, and what its events come by."""
    async with (
        relayed_ari(call_center) as (relay, settings),
        running_controller_program(settings, "line-1", program=BLOCKABLE) as line,
    ):
        yield relay, line


def deaf(relay: EventRelay, line: ControllerProgram) -> AbstractContextManager[object]:
    """Asterisk answers all that is asked, and tells nothing."""
    relay.fate = swallowed
    return nullcontext()


def half_open(relay: EventRelay, line: ControllerProgram) -> AbstractContextManager[object]:
    """Connections are there, also new ones, and nothing passes."""
    relay.flows.clear()
    return nullcontext()


def blocked(relay: EventRelay, line: ControllerProgram) -> AbstractContextManager[object]:
    block(line)
    return nullcontext()


def hanging(relay: EventRelay, line: ControllerProgram) -> AbstractContextManager[object]:
    hang(line)
    return nullcontext()


def out_of_memory(relay: EventRelay, line: ControllerProgram) -> AbstractContextManager[object]:
    memory = ExitStack()
    try:
        memory.enter_context(no_memory_for(line))
    except OSError as exc:
        pytest.skip(f"this machine lets nobody limit memory: {exc}")
    return memory


FAULTS: list[Begins] = [deaf, half_open, hanging, out_of_memory]
SHORT: list[Begins] = [deaf, half_open, blocked]


@pytest.mark.parametrize("begins", FAULTS)
async def test_another_controller_goes_on_with_the_calls_of_one_that(
    call_center: CallCenter, begins: Begins
) -> None:
    number = f"+7702005100{FAULTS.index(begins)}"
    waits = number[:-2] + "9" + number[-1]
    async with (
        relayed(call_center) as (relay, line),
        call_center.softphone("201") as consultant,
        call_center.caller(number) as caller,
        call_center.caller(waits) as waiting,
        running_controller(call_center.settings, "line-2") as peer,
        Stalls() as stalls,
    ):
        peer.node.stop_claiming()
        await until(lambda: sees(peer, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        await waiting.press("0")
        await has_happened(call_center, waits, CallEvent.WAITING)
        since = time.monotonic()
        with begins(relay, line):
            await until(lambda: has_calls(peer, 2), "the other controller has the calls", 15)
            asked_at = await held(call_center, number, "201")
            unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await until(lambda: is_over(line), "the first one was killed", 15)
        relay.flows.set()
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        again = await consultant.next_call(30)
        await again.answer()
        await both_hear(waiting, again)
        await again.hang_up()
        await waiting.ended()
        appeals = [await call_center.appeal(each) for each in (number, waits)]
    await all_is_stored(call_center, [appeal.caller_number or "" for appeal in appeals])


async def is_over(line: ControllerProgram) -> bool:
    return line.has_ended


@pytest.mark.parametrize("begins", SHORT)
async def test_the_only_controller_continues_once_it_hears_again(
    call_center: CallCenter, begins: Begins
) -> None:
    number = f"+7702005200{SHORT.index(begins)}"
    async with (
        relayed(call_center) as (relay, line),
        call_center.softphone("201") as consultant,
        call_center.caller(number) as caller,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        since = time.monotonic()
        with begins(relay, line):
            await asyncio.sleep(BLOCKED)
        relay.fate = passed_on
        relay.flows.set()
        asked_at = await held(call_center, number, "201")
        unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await call_center.appeal(number)
        assert not line.has_ended
    await all_is_stored(call_center, [number])


async def test_a_full_unread_queue_loses_and_delays_nothing(
    call_center: CallCenter,
) -> None:
    """Asterisk closes the connection; what it could not tell is looked up when there is another."""
    talks, leaves, new = (f"+7702005400{each}" for each in range(3))
    async with (
        relayed(call_center) as (relay, line),
        call_center.softphone("201") as consultant,
        call_center.caller(talks) as caller,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, talks, CallEvent.RECORDING_STARTED)
        since = time.monotonic()
        async with call_center.caller(leaves):
            await has_happened(call_center, leaves, CallEvent.GREETING)
            await flooded(call_center, relay)
            async with call_center.caller(new) as next_one:
                require_within(waited(next_one), 1.0 + stalls.longest, "the call is claimed")
                await falls_back(call_center, next_one)
        relay.reads.set()
        asked_at = await held(call_center, talks, "201")
        unbroken(caller, leg, since, asked_at, stalled=stalls.longest)
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        assert (await call_center.appeal(leaves)).outcome == Outcome.LEFT_IN_GREETING
        assert not line.has_ended
    await all_is_stored(call_center, [talks])


@pytest.mark.parametrize("how", ["twice", "late"])
async def test_events_that_come(call_center: CallCenter, how: str) -> None:
    number = f"+7702005300{['twice', 'late'].index(how)}"
    async with relayed(call_center) as (relay, _), call_center.softphone("202") as consultant:
        relay.fate = delivered_twice if how == "twice" else relay.fate
        async with call_center.caller(number) as caller:
            if how == "late":  # who calls later falls back: nobody claims the call in time
                relay.fate = delivered_late
            await consultant.register()
            await caller.press("2")
            await call_center.hears(caller, "ru", "emergency_hint")
            await caller.press("1")
            leg = await consultant.next_call(20)
            await leg.answer()
            await both_hear(caller, leg)
            await leg.press("*5")
            await hears_no_tone(caller, CONSULTANT_TONE)
            await has_happened(call_center, number, CallEvent.HELD)
            await asyncio.sleep(1)  # a key that counts twice would end it again
            await hears_no_tone(caller, CONSULTANT_TONE)
            await leg.press("*5")
            await hears_tone(caller, CONSULTANT_TONE)
            await leg.hang_up()
            await caller.ended()
            appeal = await call_center.appeal(number)
    assert appeal.language == "ru"
    await all_is_stored(call_center, [number])
    async with call_center.engine.connect() as connection:
        query = "SELECT count(*) FROM appeal WHERE caller_number = %s"
        assert (await connection.exec_driver_sql(query, (number,))).scalar() == 1
