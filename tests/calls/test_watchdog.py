"""With no controller left, the watchdog brings callers to the fallback (`callcenter watchdog`)."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from callcenter.appeals.calls.store import newest
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.controller import lost_call_recovery
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.calls.call_center import CallCenter, running_controller
from tests.calls.disposable_stack import (
    answered_call,
    both_hear,
    connected,
    has_happened,
    lost_packets,
    lost_sound,
    recorded_whole,
)
from tests.calls.processes import (
    Announced,
    ControllerProgram,
    running_controller_program,
    running_watchdog,
)
from tests.calls.stall_meter import Stalls
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@pytest_asyncio.fixture(loop_scope="session")
async def watchdog(call_center: CallCenter) -> AsyncIterator[Announced]:
    async with running_watchdog(call_center.settings) as running:
        yield running


async def is_accounted_for(call_center: CallCenter) -> None:
    """The worker's part, once nothing is left in the switch."""
    await call_center.switch.assert_no_resources_left()
    await account_for_calls(WorkerResources(call_center.settings, call_center.engine), timedelta())


async def test_all_controllers_are_killed_and_everybody_is_helped_once(
    call_center: CallCenter, watchdog: Announced, line: ControllerProgram
) -> None:
    numbers = [f"+7702030000{number}" for number in range(5)]
    async with (
        running_controller_program(call_center.settings, "line-2") as other,
        call_center.softphone("201") as consultant,
        call_center.softphone("202") as rung,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as ringing,
        call_center.caller(numbers[2]) as waiting,
        call_center.caller(numbers[3]) as choosing,
    ):
        await consultant.register()
        leg = await connected(call_center, talking, consultant)
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        await rung.register()
        await ringing.press("2")
        await call_center.hears(ringing, "ru", "emergency_hint")
        second = await answered_call(ringing, rung)
        await waiting.press("1")
        await call_center.hears(waiting, "kk", "emergency_hint")
        await waiting.press("0")
        await has_happened(call_center, numbers[2], CallEvent.WAITING)
        await choosing.press("2")
        await call_center.hears(choosing, "ru", "emergency_hint")
        async with call_center.caller(numbers[4]) as greeted, Stalls() as stalls:
            since, killed_at = time.monotonic(), time.time()
            await asyncio.gather(line.kill(), other.kill())
            await second.ended()
            await asyncio.gather(
                call_center.hears(ringing, "ru", "sorry_going_on"),
                call_center.hears(waiting, "kk", "sorry_going_on"),
                call_center.hears(choosing, "ru", "sorry_going_on"),
                call_center.hears(greeted, "kk", "sorry_going_on"),
            )
            assert not call_center.was_heard(ringing, "kk", "sorry_going_on")
            assert not call_center.was_heard(waiting, "ru", "sorry_going_on")
            await both_hear(talking, leg)
            assert lost_packets(talking, since) == lost_packets(leg, since) == 0
            assert lost_sound(talking, since) < 0.1
            assert lost_sound(leg, since) < 0.1
            again = await rung.next_call(20)
            await again.answer()
            await call_center.hears_something(again)
            # Who talks with nobody any more is not left in silence.
            await leg.hang_up()
            await call_center.hears(talking, "kk", "sorry_going_on")
            for caller in (talking, ringing, waiting, choosing, greeted):
                await caller.hang_up()
            await again.ended()
    await is_accounted_for(call_center)
    appeals = [await call_center.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.FALLBACK}
    for appeal in appeals:
        moments = await call_center.moments(appeal)
        assert moments.count(CallEvent.FALLBACK) == moments.count(CallEvent.ENDED) == 1
    for appeal in appeals[1:]:  # the first one talked on; by the CEL log
        (helped,) = [e.at for e in await call_center.events(appeal) if e.kind == CallEvent.FALLBACK]
        require_within(helped.timestamp() - killed_at, 5.0 + stalls.longest, "help")
    async with unit_of_work(call_center.engine) as connection:
        rows = await newest(connection, before=None, limit=200)
    assert sorted(row.caller_number for row in rows if row.caller_number in numbers) == numbers
    await recorded_whole(call_center, numbers[0])


async def test_a_quickly_restarted_controller_continues_its_calls(
    call_center: CallCenter, watchdog: Announced, line: ControllerProgram
) -> None:
    numbers = ["+77020300010", "+77020300011"]
    async with (
        call_center.softphone("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as waiting,
    ):
        await consultant.register()
        leg = await connected(call_center, talking, consultant)
        await waiting.press("0")
        await has_happened(call_center, numbers[1], CallEvent.WAITING)
        await line.kill()
        async with running_controller(call_center.settings, "line-2"):
            await call_center.hears(waiting, "kk", "sorry_going_on")
            await both_hear(talking, leg)
            await leg.hang_up()
            await talking.ended()
            again = await consultant.next_call(20)
            await again.answer()
            await both_hear(waiting, again)
            await again.hang_up()
            await waiting.ended()
            appeals = [await call_center.appeal(number) for number in numbers]
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    for appeal in appeals:
        assert CallEvent.FALLBACK not in await call_center.moments(appeal)


async def test_a_restarted_watchdog_helps_callers_without_controllers(
    call_center: CallCenter,
    watchdog: Announced,
    line: ControllerProgram,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost_call_recovery, "SWEEP_INTERVAL", 0.3)
    numbers = ["+77020300020", "+77020300021"]
    async with (
        call_center.softphone("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as choosing,
    ):
        await consultant.register()
        leg = await connected(call_center, talking, consultant)
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        await choosing.press("2")
        await call_center.hears(choosing, "ru", "emergency_hint")
        await asyncio.gather(line.kill(), watchdog.kill())
        await talking.hang_up()
        await watchdog.start()
        await leg.ended()
        await call_center.hears(choosing, "ru", "sorry_going_on")
    await is_accounted_for(call_center)
    assert (await call_center.appeal(numbers[1])).outcome == Outcome.FALLBACK
    async with running_controller(call_center.settings, "line-2"):
        appeal = await call_center.appeal(numbers[0])
    assert appeal.outcome == Outcome.TALKED
    (recording,) = await call_center.recordings(appeal)
    assert recording.state == "closed"


async def test_a_watchdog_that_is_stopped_ends_and_is_seen(
    call_center: CallCenter, watchdog: Announced
) -> None:
    async with running_controller(call_center.settings, "line-2") as one:
        members = one.node.membership

        async def has_arrived() -> bool:
            return bool(members.watching)

        await until(has_arrived, "the controller hears the watchdog")
        watchdog.pause()
        await watchdog.ended()
        await until(lambda: _is_alone(members), "the controller sees no watchdog")


async def _is_alone(members: ClusterMembership) -> bool:
    return not members.watching
