"""Controllers die during calls: what callers, consultants and the register notice (item 14).

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import signal
import time

import pytest

from callcenter.controller import recovery
from callcenter.demo.call import Call
from callcenter.demo.sound import loudness
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import (
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
from tests.calls.house import (
    CALLER_TONE,
    CONSULTANT_TONE,
    House,
    running_controller,
    until,
)
from tests.calls.parts import Line
from tests.calls.stalls import Stalls
from tests.calls.talking import order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_conversation_outlives_its_controller_unbroken_and_is_recorded_whole(
    house: House, line: Line
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000001") as caller:
        leg = await connected(house, caller, consultant)
        await line.kill()
        killed = time.monotonic()
        await both_hear(caller, leg)
        async with running_controller(house.settings, "line-2", house.engine, house.redis):
            async with (
                house.consultant("204") as other,
                house.caller("+77020000002") as next_caller,
            ):
                await house.talk_shortly(await answered_call(next_caller, other))
                await next_caller.ended()
            await line.start()
            await both_hear(caller, leg)
            assert lost_packets(caller, killed) == lost_packets(leg, killed) == 0
            await leg.hang_up()
            await caller.ended()
            appeal = await house.appeal("+77020000001")
    assert appeal.outcome == Outcome.TALKED
    assert (await house.appeal("+77020000002")).outcome == Outcome.TALKED
    (recording,) = await house.recordings(appeal)
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, right = house.recorded(recording)
    # The recording began when they were connected and ended when the consultant left.
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.5
    assert loudness(left[-8000:-4000], CALLER_TONE) > -30
    assert loudness(right[-8000:-4000], CONSULTANT_TONE) > -30


async def test_a_consultant_who_answers_a_killed_controller_is_rung_again_for_the_same_caller(
    house: House, line: Line
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000021") as caller:
        leg = await answered_call(caller, consultant)
        # Killed before it was kept where the caller is, the next one begins with the menu.
        await has_happened(house, "+77020000021", Moment.RINGING)
        await line.kill()
        await leg.answer()
        await line.start()
        await leg.ended()
        again = await consultant.next_call(20)
        await again.answer()
        await both_hear(caller, again)
        await again.hang_up()
        await caller.ended()
        assert (await house.appeal("+77020000021")).outcome == Outcome.TALKED


@pytest.mark.parametrize("leaver", ["caller", "consultant", "both"])
async def test_who_is_left_alone_while_the_controller_is_dead_is_let_go_when_it_is_back(
    house: House, line: Line, leaver: str
) -> None:
    number = {"caller": "+77020000030", "consultant": "+77020000031", "both": "+77020000032"}[
        leaver
    ]
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        await line.kill()
        if leaver != "consultant":
            await caller.hang_up()
        if leaver != "caller":
            await leg.hang_up()
        await line.start()
        await asyncio.gather(caller.ended(), leg.ended())
        appeal = await house.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"


async def has_keys(leg: Call, keys: str) -> bool:
    return leg.heard.keys == keys


async def test_a_caller_talking_with_1414_goes_on_when_the_controller_is_killed(
    house: House, line: Line
) -> None:
    async with house.unified_center() as center, house.caller("+77020000040") as caller:
        await caller.press("13")
        leg = await center.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await caller.press("5")
        await until(lambda: has_keys(leg, "5"), "1414's menu hears the caller's key")
        await has_happened(house, "+77020000040", Moment.REDIRECTED)
        await line.kill()
        await line.start()
        await both_hear(caller, leg)
        await caller.hang_up()
        await leg.ended()
        appeal = await house.appeal("+77020000040")
        assert appeal.outcome == Outcome.REDIRECTED
        assert await house.recordings(appeal) == []


async def test_a_call_whose_controller_never_comes_back_gets_its_outcome_from_another(
    house: House, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SWEEP", 0.3)
    await no_check_is_due(house)
    async with house.caller("+77020000050") as caller:
        await has_happened(house, "+77020000050", Moment.GREETING)
        async with running_controller(house.settings, "line-2", house.engine, house.redis):
            await line.kill()
            await caller.hang_up()
            appeal = await house.appeal("+77020000050")
    assert appeal.outcome == Outcome.LOST_TO_A_FAULT
    await a_check_is_due(house)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_without_a_controller_new_calls_fall_back_within_a_second(
    house: House, line: Line, fault: str
) -> None:
    if fault == "killed":
        await line.kill()
    else:
        line.pause()
    try:
        async with Stalls() as stalls, house.caller("+77020000060") as caller:
            assert waited(caller) < 1.0 + stalls.longest
            await falls_back(house, caller)
    finally:
        if fault == "frozen":
            line.go_on()


async def test_the_last_controller_without_a_watchdog_serves_who_talks_to_the_end(
    house: House, line: Line
) -> None:
    numbers = ["+77020000120", "+77020000121"]
    async with (
        house.softphone("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as choosing,
    ):
        await consultant.register()
        leg = await connected(house, talking, consultant)
        await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
        since = time.monotonic()
        line.send(signal.SIGTERM)
        await falls_back(house, choosing)
        await both_hear(talking, leg)
        assert lost_packets(talking, since) == lost_packets(leg, since) == 0
        await order(house, "201", "hold")
        await has_happened(house, numbers[0], Moment.HELD)
        await order(house, "201", "resume")
        await both_hear(talking, leg)
        await leg.hang_up()
        await talking.ended()
        await line.ended()
    appeals = [await house.appeal(number) for number in numbers]
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED, Outcome.FALLBACK]
    (recording,) = await house.recordings(appeals[0])
    assert recording.state == "closed"
