"""The clock of the machine is set forward or back while calls go on.

That of Asterisk and of the controller is; for Redis, see `clock.py`.
"""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from callcenter.sipphone.audio import loudness
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation.cel import parse
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter, last_sound
from tests.calls.disposable_stack import (
    answered_call,
    both_hear,
    connected,
    has_happened,
    unbroken,
)
from tests.calls.processes import ControllerProgram, running_controller_program
from tests.calls.stall_meter import Stalls
from tests.clock import Clock, set_clock_of_distributor

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.alone]
HOUR = 3600


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock(
    disposable_stack: CallCenter, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Clock]:
    """The clock of Asterisk, which runs with it as long as the tests of this module do."""
    made, switch = Clock(tmp_path_factory.mktemp("clock")), disposable_stack.switch
    for also in (made.environment, {}):
        await switch.stop()
        switch.also = also
        await switch.start()
        if also:
            yield made


@pytest_asyncio.fixture(loop_scope="session")
async def line(disposable: CallCenter, clock: Clock) -> AsyncIterator[ControllerProgram]:
    """The controller line-1, with the clock of Asterisk."""
    clock.set(0)
    async with running_controller_program(
        disposable.settings, "line-1", also=clock.environment
    ) as running:
        yield running


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_calls_and_offers_continue_when_the_clock_is_set(
    disposable: CallCenter, line: ControllerProgram, clock: Clock, jump: int
) -> None:
    call_center, sign = disposable, int(jump > 0)
    talks, rings, waits = (f"+7702006{sign}00{each}" for each in range(3))
    async with (
        call_center.softphone("201") as first,
        call_center.softphone("204") as second,
        call_center.caller(talks) as caller,
        call_center.caller(rings) as ringing,
        call_center.caller(waits) as waiting,
        Stalls() as stalls,
    ):
        await first.register()
        leg = await connected(call_center, caller, first)
        await second.register()
        other = await answered_call(ringing, second)
        await waiting.press("0")
        await has_happened(call_center, waits, CallEvent.WAITING)
        since = time.monotonic()
        clock.set(jump)
        await set_clock_of_distributor(call_center.redis, jump)
        await has_happened(call_center, talks, CallEvent.RECORDING_STARTED)
        await both_hear(caller, leg)
        if jump > 0:  # every registration has expired, and whoever is rung was rung for an hour
            for telephone in (first, second):
                await telephone.register()  # as they do by themselves, when it is time
            await other.answer()
            await other.ended()
            other = await second.next_call(40)
        await other.answer()
        await both_hear(ringing, other)
        unbroken(caller, leg, since, stalled=stalls.longest)
        await leg.hang_up()
        await caller.ended()
        again = await first.next_call(20)  # nobody who talks is offered, and who is free is
        await again.answer()
        await both_hear(waiting, again)
        await both_hear(ringing, other)
        assert len(second.calls) == 1
        for each in (again, other):
            await each.hang_up()
        await waiting.ended()
        await ringing.ended()
        appeals = [await call_center.appeal(number) for number in (talks, rings, waits)]
    for appeal in appeals:
        assert appeal.outcome == Outcome.TALKED
        events = await call_center.events(appeal)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].kind == CallEvent.ENDED
        (recording,) = await call_center.recordings(appeal)
        assert recording.state == "closed"
        left, right = call_center.recorded(recording)
        assert loudness(last_sound(left), CALLER_TONE) > -30
        assert loudness(last_sound(right), CONSULTANT_TONE) > -30
    # Without orders, as `served` gives: one of this process, whose clock is not that of the
    # controller, is over before it comes. On one machine who sends and who obeys have one clock.
    last = f"+7702006{sign}004"
    async with call_center.consultant("204") as second, call_center.caller(last) as caller:
        leg = await connected(call_center, caller, second)
        await has_happened(call_center, last, CallEvent.RECORDING_STARTED)
        await leg.hang_up()
        await caller.ended()
    assert (await call_center.appeal(last)).outcome == Outcome.TALKED
    noted = parse(cel_file_of(call_center.settings).read_bytes().splitlines()[-1])
    assert noted is not None
    assert abs(noted.at.timestamp() - time.time() - jump) < 60, "it is the clock of Asterisk too"
