"""The clock of the machine is set forward or back while calls go on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.line.outcomes import Moment, Outcome
from tests.calls.clock import Clock, set_clock_of_desk
from tests.calls.fragile import answered_call, both_hear, connected, has_happened
from tests.calls.house import House
from tests.calls.parts import running_line

pytestmark = pytest.mark.asyncio(loop_scope="session")
HOUR = 3600


@pytest_asyncio.fixture(loop_scope="session")
async def clock(fragile: House, tmp_path: Path) -> AsyncIterator[Clock]:
    """The clock of the controller line-1."""
    made = Clock(tmp_path)
    async with running_line(fragile.settings, "line-1", also=made.environment):
        yield made


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_when_the_clock_is_set_calls_go_on_and_consultants_are_offered_to_whoever_waits(
    fragile: House, clock: Clock, jump: int
) -> None:
    house, sign = fragile, int(jump > 0)
    talks, rings, waits = (f"+7702006{sign}00{each}" for each in range(3))
    async with (
        house.softphone("201") as first,
        house.softphone("204") as second,
        house.caller(talks) as caller,
        house.caller(rings) as ringing,
        house.caller(waits) as waiting,
    ):
        await first.register()
        leg = await connected(house, caller, first)
        await second.register()
        other = await answered_call(ringing, second)
        await waiting.press("0")
        await has_happened(house, waits, Moment.WAITING)
        clock.set(jump)
        await set_clock_of_desk(house.redis, jump)
        await has_happened(house, talks, Moment.RECORDING_STARTED)
        await both_hear(caller, leg)
        await other.answer()
        await both_hear(ringing, other)
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
