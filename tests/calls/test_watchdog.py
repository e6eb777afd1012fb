"""With no controller left, the watchdog brings callers to the fallback (`callcenter watchdog`)."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from callcenter.appeals.store import newest
from callcenter.controller import recovery
from callcenter.ledger.jobs import account_for_calls
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.calls.fragile import (
    answered_call,
    both_hear,
    connected,
    has_happened,
    lost_packets,
    lost_sound,
    recorded_whole,
)
from tests.calls.house import House, running_controller, until
from tests.calls.parts import Announced, Line, running_line, running_watchdog
from tests.calls.stalls import Stalls

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@pytest_asyncio.fixture(loop_scope="session")
async def watchdog(house: House) -> AsyncIterator[Announced]:
    async with running_watchdog(house.settings) as running:
        yield running


async def is_accounted_for(house: House) -> None:
    """The worker's part, once nothing is left in the switch."""
    await house.switch.nothing_left()
    await account_for_calls(Tools(house.settings, house.engine), timedelta())


async def test_all_controllers_are_killed_and_everybody_is_helped_once(
    house: House, watchdog: Announced, line: Line
) -> None:
    numbers = [f"+7702030000{number}" for number in range(5)]
    async with (
        running_line(house.settings, "line-2") as other,
        house.softphone("201") as consultant,
        house.softphone("202") as rung,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as ringing,
        house.caller(numbers[2]) as waiting,
        house.caller(numbers[3]) as choosing,
    ):
        await consultant.register()
        leg = await connected(house, talking, consultant)
        await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
        await rung.register()
        await ringing.press("2")
        await house.hears(ringing, "ru", "emergency_hint")
        second = await answered_call(ringing, rung)
        await waiting.press("1")
        await house.hears(waiting, "kk", "emergency_hint")
        await waiting.press("0")
        await has_happened(house, numbers[2], Moment.WAITING)
        await choosing.press("2")
        await house.hears(choosing, "ru", "emergency_hint")
        async with house.caller(numbers[4]) as greeted, Stalls() as stalls:
            since, killed_at = time.monotonic(), time.time()
            await asyncio.gather(line.kill(), other.kill())
            await second.ended()
            await asyncio.gather(
                house.hears(ringing, "ru", "sorry_going_on"),
                house.hears(waiting, "kk", "sorry_going_on"),
                house.hears(choosing, "ru", "sorry_going_on"),
                house.hears(greeted, "kk", "sorry_going_on"),
            )
            assert not house.was_heard(ringing, "kk", "sorry_going_on")
            assert not house.was_heard(waiting, "ru", "sorry_going_on")
            await both_hear(talking, leg)
            assert lost_packets(talking, since) == lost_packets(leg, since) == 0
            assert lost_sound(talking, since) < 0.1
            assert lost_sound(leg, since) < 0.1
            again = await rung.next_call(20)
            await again.answer()
            await house.hears_something(again)
            # Who talks with nobody any more is not left in silence.
            await leg.hang_up()
            await house.hears(talking, "kk", "sorry_going_on")
            for caller in (talking, ringing, waiting, choosing, greeted):
                await caller.hang_up()
            await again.ended()
    await is_accounted_for(house)
    appeals = [await house.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.FALLBACK}
    for appeal in appeals:
        moments = await house.moments(appeal)
        assert moments.count(Moment.FALLBACK) == moments.count(Moment.ENDED) == 1
    for appeal in appeals[1:]:  # the first one talked on; by the ledger of the switch
        (helped,) = [e.at for e in await house.events(appeal) if e.kind == Moment.FALLBACK]
        assert helped.timestamp() - killed_at < 5.0 + stalls.longest
    async with unit_of_work(house.engine) as connection:
        rows = await newest(connection, before=None, limit=200)
    assert sorted(row.caller_number for row in rows if row.caller_number in numbers) == numbers
    await recorded_whole(house, numbers[0])


async def test_a_controller_that_is_back_soon_goes_on_with_all_calls_itself(
    house: House, watchdog: Announced, line: Line
) -> None:
    numbers = ["+77020300010", "+77020300011"]
    async with (
        house.softphone("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as waiting,
    ):
        await consultant.register()
        leg = await connected(house, talking, consultant)
        await waiting.press("0")
        await has_happened(house, numbers[1], Moment.WAITING)
        await line.kill()
        async with running_controller(house.settings, "line-2", house.engine, house.redis):
            await house.hears(waiting, "kk", "sorry_going_on")
            await both_hear(talking, leg)
            await leg.hang_up()
            await talking.ended()
            again = await consultant.next_call(20)
            await again.answer()
            await both_hear(waiting, again)
            await again.hang_up()
            await waiting.ended()
            appeals = [await house.appeal(number) for number in numbers]
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    for appeal in appeals:
        assert Moment.FALLBACK not in await house.moments(appeal)


async def test_a_watchdog_that_died_with_all_controllers_helps_once_it_is_back(
    house: House, watchdog: Announced, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SWEEP", 0.3)
    numbers = ["+77020300020", "+77020300021"]
    async with (
        house.softphone("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as choosing,
    ):
        await consultant.register()
        leg = await connected(house, talking, consultant)
        await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
        await choosing.press("2")
        await house.hears(choosing, "ru", "emergency_hint")
        await asyncio.gather(line.kill(), watchdog.kill())
        await talking.hang_up()
        await watchdog.start()
        await leg.ended()
        await house.hears(choosing, "ru", "sorry_going_on")
    await is_accounted_for(house)
    assert (await house.appeal(numbers[1])).outcome == Outcome.FALLBACK
    async with running_controller(house.settings, "line-2", house.engine, house.redis):
        appeal = await house.appeal(numbers[0])
    assert appeal.outcome == Outcome.TALKED
    (recording,) = await house.recordings(appeal)
    assert recording.state == "closed"


async def test_a_watchdog_that_hangs_is_killed_by_a_controller(
    house: House, watchdog: Announced
) -> None:
    async with running_controller(house.settings, "line-2", house.engine, house.redis) as one:
        roll = one.channels.lives.roll

        async def is_known() -> bool:
            return bool(roll.watching)

        await until(is_known, "the controller hears the watchdog")
        watchdog.pause()
        await watchdog.ended()
        assert not roll.watching
