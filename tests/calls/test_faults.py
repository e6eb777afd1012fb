"""Controllers die during calls: what callers, consultants and the register notice (item 14).

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import signal
import time
from contextlib import AsyncExitStack

import pytest

from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.controller import lost_call_recovery
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    last_sound,
    running_controller,
)
from tests.calls.disposable_stack import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    falls_back,
    has_happened,
    lost_packets,
    no_check_is_due,
    waited,
)
from tests.calls.processes import ControllerProgram
from tests.calls.stall_meter import Stalls
from tests.calls.talking import order
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_a_conversation_outlives_its_controller_unbroken_and_is_recorded_whole(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77020000001") as caller,
    ):
        leg = await connected(call_center, caller, consultant)
        await line.kill()
        killed = time.monotonic()
        await both_hear(caller, leg)
        async with running_controller(call_center.settings, "line-2"):
            async with (
                call_center.consultant("204") as other,
                call_center.caller("+77020000002") as next_caller,
            ):
                await call_center.talk_shortly(await answered_call(next_caller, other))
                await next_caller.ended()
            await line.start()
            await both_hear(caller, leg)
            assert lost_packets(caller, killed) == lost_packets(leg, killed) == 0
            await leg.hang_up()
            await caller.ended()
            appeal = await call_center.appeal("+77020000001")
    assert appeal.outcome == Outcome.TALKED
    assert (await call_center.appeal("+77020000002")).outcome == Outcome.TALKED
    (recording,) = await call_center.recordings(appeal)
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, right = call_center.recorded(recording)
    # The recording began when they were connected and ended when the consultant left.
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.5
    assert loudness(last_sound(left), CALLER_TONE) > -30
    assert loudness(last_sound(right), CONSULTANT_TONE) > -30


async def test_a_consultant_of_a_killed_controller_is_rung_again(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77020000021") as caller,
    ):
        leg = await answered_call(caller, consultant)
        # Killed before it was kept where the caller is, the next one begins with the menu.
        await has_happened(call_center, "+77020000021", CallEvent.RINGING)
        await line.kill()
        await leg.answer()
        await line.start()
        await leg.ended()
        again = await consultant.next_call(20)
        await again.answer()
        await both_hear(caller, again)
        await again.hang_up()
        await caller.ended()
        assert (await call_center.appeal("+77020000021")).outcome == Outcome.TALKED


async def test_a_lone_party_is_released_when_the_controller_returns(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    """Meanwhile one caller has left, another's consultant, and both of a third conversation."""
    numbers = {"201": "+77020000030", "203": "+77020000031", "204": "+77020000032"}
    async with AsyncExitStack() as stack:
        talks = []
        for extension, number in numbers.items():
            consultant = await stack.enter_async_context(call_center.consultant(extension))
            caller = await stack.enter_async_context(call_center.caller(number))
            talks.append((caller, await connected(call_center, caller, consultant)))
            await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        (leaves, _), (_, is_left), both = talks
        await line.kill()
        await asyncio.gather(*(each.hang_up() for each in (leaves, is_left, *both)))
        await line.start()
        await asyncio.gather(*(each.ended() for talk in talks for each in talk))
        for number in numbers.values():
            appeal = await call_center.appeal(number)
            assert appeal.outcome == Outcome.TALKED
            (recording,) = await call_center.recordings(appeal)
            assert recording.state == "closed"


async def has_keys(leg: SipCall, keys: str) -> bool:
    return leg.heard.keys == keys


async def test_a_talk_with_1414_survives_a_killed_controller(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with call_center.unified_center() as center, call_center.caller("+77020000040") as caller:
        await caller.press("13")
        leg = await center.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await caller.press("5")
        await until(lambda: has_keys(leg, "5"), "1414's menu hears the caller's key")
        await has_happened(call_center, "+77020000040", CallEvent.REDIRECTED)
        await line.kill()
        await line.start()
        await both_hear(caller, leg)
        await caller.hang_up()
        await leg.ended()
        appeal = await call_center.appeal("+77020000040")
        assert appeal.outcome == Outcome.REDIRECTED
        assert await call_center.recordings(appeal) == []


async def has_no_calls(call_center: CallCenter) -> bool:
    return "0 active channels" in await call_center.switch.cli("core show channels count")


async def test_calls_of_a_dead_controller_get_outcomes_from_another(
    call_center: CallCenter, line: ControllerProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_call_recovery, "SWEEP_INTERVAL", 0.3)
    await no_check_is_due(call_center)
    async with call_center.caller("+77020000050") as caller:
        await has_happened(call_center, "+77020000050", CallEvent.GREETING)
        line.pause()  # so that no controller sees the call end
        await caller.hang_up()
        await until(lambda: has_no_calls(call_center), "the call has ended")
        async with running_controller(call_center.settings, "line-2"):
            await line.kill()
            appeal = await call_center.appeal("+77020000050")
    assert appeal.outcome == Outcome.LOST_TO_A_FAULT
    await a_check_is_due(call_center)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_without_a_controller_new_calls_fall_back_within_a_second(
    call_center: CallCenter, line: ControllerProgram, fault: str
) -> None:
    if fault == "killed":
        await line.kill()
    else:
        line.pause()
    async with Stalls() as stalls, call_center.caller("+77020000060") as caller:
        require_within(waited(caller), 1.0 + stalls.longest, "the call is claimed")
        await falls_back(call_center, caller)
    await line.ended()  # by its sentinel, if it was frozen


async def test_the_last_controller_serves_conversations_to_the_end(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    numbers = ["+77020000120", "+77020000121"]
    async with (
        call_center.softphone("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as choosing,
    ):
        await consultant.register()
        leg = await connected(call_center, talking, consultant)
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        since = time.monotonic()
        line.send(signal.SIGTERM)
        await falls_back(call_center, choosing)
        await both_hear(talking, leg)
        assert lost_packets(talking, since) == lost_packets(leg, since) == 0
        await order(call_center, "201", "hold")
        await has_happened(call_center, numbers[0], CallEvent.HELD)
        await order(call_center, "201", "resume")
        await both_hear(talking, leg)
        await leg.hang_up()
        await talking.ended()
        await line.ended()
    appeals = [await call_center.appeal(number) for number in numbers]
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED, Outcome.FALLBACK]
    (recording,) = await call_center.recordings(appeals[0])
    assert recording.state == "closed"
