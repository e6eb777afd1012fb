"""The clock of the machine is set forward or back while calls go on.

That of Asterisk and of the controller is; for Redis, see `clock.py`.
"""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from callcenter.asterisk.ledger import parse
from callcenter.demo.sound import loudness
from callcenter.ledger.files import ledger_of
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.clock import Clock, set_clock_of_desk
from tests.calls.fragile import (
    answered_call,
    both_hear,
    connected,
    has_happened,
    served,
    unbroken,
)
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House
from tests.calls.parts import Line, running_line
from tests.calls.stalls import Stalls

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
HOUR = 3600


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock(
    fragile_house: House, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Clock]:
    """The clock of Asterisk, which runs with it as long as the tests of this module do."""
    made, switch = Clock(tmp_path_factory.mktemp("clock")), fragile_house.switch
    for also in (made.environment, {}):
        await switch.stop()
        switch.also = also
        await switch.start()
        if also:
            yield made


@pytest_asyncio.fixture(loop_scope="session")
async def line(fragile: House, clock: Clock) -> AsyncIterator[Line]:
    """The controller line-1, with the clock of Asterisk."""
    clock.set(0)
    async with running_line(fragile.settings, "line-1", also=clock.environment) as running:
        yield running


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_when_the_clock_is_set_calls_go_on_and_consultants_are_offered_to_whoever_waits(
    fragile: House, line: Line, clock: Clock, jump: int
) -> None:
    house, sign = fragile, int(jump > 0)
    talks, rings, waits = (f"+7702006{sign}00{each}" for each in range(3))
    async with (
        house.softphone("201") as first,
        house.softphone("204") as second,
        house.caller(talks) as caller,
        house.caller(rings) as ringing,
        house.caller(waits) as waiting,
        Stalls() as stalls,
    ):
        await first.register()
        leg = await connected(house, caller, first)
        await second.register()
        other = await answered_call(ringing, second)
        await waiting.press("0")
        await has_happened(house, waits, Moment.WAITING)
        since = time.monotonic()
        clock.set(jump)
        await set_clock_of_desk(house.redis, jump)
        await has_happened(house, talks, Moment.RECORDING_STARTED)
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
        appeals = [await house.appeal(number) for number in (talks, rings, waits)]
    for appeal in appeals:
        assert appeal.outcome == Outcome.TALKED
        events = await house.events(appeal)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].kind == Moment.ENDED
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"
        left, right = house.recorded(recording)
        assert loudness(left[-1200:-400], CALLER_TONE) > -30
        assert loudness(right[-1200:-400], CONSULTANT_TONE) > -30
    await served(house, "204", f"+7702006{sign}004")
    noted = parse(ledger_of(house.settings).read_bytes().splitlines()[-1])
    assert noted is not None
    assert abs(noted.at.timestamp() - time.time() - jump) < 60, "it is the clock of Asterisk too"
