"""Another controller takes over the calls of one that died."""

import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence

import psutil
import pytest
import pytest_asyncio

from callcenter.bootstrap.controller import ControllerProcess
from callcenter.telephony.asterisk import fence
from callcenter.telephony.asterisk.cluster import membership
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CONSULTANT_TONE, CallCenter, running_controller
from tests.calls.disposable_stack import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    ends_as_one_call,
    has_calls,
    has_happened,
    held,
    lost_packets,
    no_check_is_due,
    recorded_whole,
    sees,
    unbroken,
    waited,
)
from tests.calls.faulty_controllers import DYING_AT_A_CALL
from tests.calls.network import ALONE
from tests.calls.processes import ControllerProgram, running_controller_program
from tests.calls.stall_meter import Stalls
from tests.calls.talking import hears_tone, order
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@pytest_asyncio.fixture(loop_scope="session")
async def other(call_center: CallCenter) -> AsyncIterator[ControllerProcess]:
    """Another controller, in this process, that takes no new call."""
    async with running_controller(call_center.settings, "line-2") as other:
        other.node.stop_claiming()
        yield other


@pytest_asyncio.fixture(loop_scope="session")
async def peer(line: ControllerProgram, other: ControllerProcess) -> None:
    """The two know of each other; `line` has the calls that come."""
    await until(lambda: sees(other, "line-1"), "the two know of each other")


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_conversation_goes_on_with_keys_hold_and_outcome(
    call_center: CallCenter, line: ControllerProgram, peer: None, fault: str
) -> None:
    number = f"+7702010000{['killed', 'frozen'].index(fault)}"
    await no_check_is_due(call_center)
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller(number) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        since = time.monotonic()
        if fault == "killed":
            await line.kill()
        else:
            line.pause()

        async def has_arrived() -> bool:
            holder = await call_center.redis.hget("desk:holders", "201")
            return holder is not None and "line-2" in str(holder)

        await until(has_arrived, "the other controller has the consultant's call", 5)
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        await order(call_center, "201", "hold")
        await has_happened(call_center, number, CallEvent.HELD)
        await order(call_center, "201", "resume")
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()
        await caller.ended()
        appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    await recorded_whole(call_center, number)
    await a_check_is_due(call_center)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_call_now_does_not_wait_for_a_former_controller(
    call_center: CallCenter, line: ControllerProgram, fault: str
) -> None:
    number = f"+7702010004{['killed', 'frozen'].index(fault)}"
    async with running_controller(call_center.settings, "line-2") as other:
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        if fault == "killed":
            await line.kill()
        else:
            line.pause()
        async with Stalls() as stalls, call_center.caller(number) as caller:
            require_within(waited(caller), 0.5 + stalls.longest, "the call is claimed")
            await has_happened(call_center, number, CallEvent.GREETING)
            await caller.hang_up()
        assert (await call_center.appeal(number)).outcome == Outcome.LEFT_IN_GREETING
        await line.ended()  # one that is stopped is killed by its sentinel


async def test_a_claimed_caller_of_a_dying_controller_is_greeted_elsewhere(
    call_center: CallCenter, other: ControllerProcess
) -> None:
    """Nobody had put down a word of this call, and the caller has heard none."""
    number = "+77020100050"
    async with running_controller_program(
        call_center.settings, "line-1", program=DYING_AT_A_CALL
    ) as line:
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        async with call_center.phone(number) as phone:
            caller = await phone.call("111")
            await caller.answered()
            caller.send_silence()
            await line.ended()
            await call_center.hears(caller, "kk", "greeting")
            await caller.hang_up()
    assert (await call_center.appeal(number)).outcome == Outcome.LEFT_IN_GREETING
    async with call_center.engine.connect() as connection:
        query = "SELECT count(*) FROM appeal WHERE caller_number = %s"
        assert (await connection.exec_driver_sql(query, (number,))).scalar() == 1


async def test_silent_callers_hear_an_apology_and_are_served(
    call_center: CallCenter, line: ControllerProgram, peer: None
) -> None:
    """For the first one a telephone rings, the others wait, choose and are greeted."""
    numbers = [f"+7702010001{each}" for each in range(4)]
    async with (
        call_center.softphone("202") as consultant,
        call_center.caller(numbers[0]) as first,
        call_center.caller(numbers[1]) as waiting,
        call_center.caller(numbers[2]) as choosing,
    ):
        for each in (first, waiting, choosing):
            await each.press("2")
        for each in (first, waiting, choosing):
            await call_center.hears(each, "ru", "emergency_hint")
        await consultant.register()
        leg = await answered_call(first, consultant)
        await waiting.press("0")
        await has_happened(call_center, numbers[1], CallEvent.WAITING)
        async with call_center.caller(numbers[3]) as greeted:
            # Nobody is offered until all of them wait: then the first is the first again.
            await call_center.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
            await call_center.hears(greeted, "kk", "greeting")
            await line.kill()
            since = time.monotonic()
            await leg.ended()
            for each in (first, waiting, choosing):
                await call_center.hears(each, "ru", "sorry_going_on")
            await call_center.hears(greeted, "kk", "sorry_going_on")
            await greeted.press("2")
            for each, number in ((choosing, numbers[2]), (greeted, numbers[3])):
                await call_center.hears(each, "ru", "menu_main", since=since)
                await each.press("1")
                await has_happened(call_center, number, CallEvent.WAITING)
            await call_center.redis.delete("desk:holds")
            for caller in (first, waiting, choosing, greeted):
                leg = await consultant.next_call(20)
                await leg.answer()
                await both_hear(caller, leg)
                await leg.hang_up()
                await caller.ended()
        appeals = [await call_center.appeal(number) for number in numbers]
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 4
    assert [appeal.language for appeal in appeals] == ["ru"] * 4


async def test_an_endless_ringing_tone_does_not_stop_the_takeover(
    call_center: CallCenter, line: ControllerProgram, peer: None
) -> None:
    async with call_center.unified_center() as center, call_center.caller("+77020100015") as caller:
        await caller.press("13")
        ringing = await center.next_call(20)
        await line.kill()
        await ringing.ended()
        await call_center.hears(caller, "kk", "sorry_going_on")
        leg = await center.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await caller.hang_up()
        await leg.ended()
        assert (await call_center.appeal("+77020100015")).outcome == Outcome.REDIRECTED


async def test_a_returning_controller_leaves_taken_calls_alone_and_ends(
    call_center: CallCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are in this process, which nobody kills: what holds it back is its fence alone."""
    with pytest.raises(Fenced):
        await _fenced(call_center, "+77020100020", monkeypatch)
    appeal = await call_center.appeal("+77020100020")
    assert appeal.outcome == Outcome.TALKED
    moments = await call_center.moments(appeal)
    assert moments.count(CallEvent.RECORDING_STOPPED) == moments.count(CallEvent.ENDED) == 1


async def _fenced(call_center: CallCenter, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        running_controller(call_center.settings, "line-1") as lost,
        call_center.softphone("201") as consultant,
        call_center.caller(number) as caller,
        running_controller(call_center.settings, "line-2") as other,
    ):
        await consultant.register()
        other.node.stop_claiming()
        leg = await connected(call_center, caller, consultant)
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        with monkeypatch.context() as held:
            held.setattr(fence, "UNSURE_AFTER", 1.0)
            held.setattr(membership, "FROZEN_AFTER", 2.0)
            held.setattr(membership, "cpu_pressure", lambda: 0.0)
            held.setattr(lost.node.membership, "turn", lambda: None)
            await until(lambda: has_calls(other), "the other one has the call")
            await lost.node.fence.wait_fenced()
        await until(lambda: _has_no_calls(lost), "the first one has none any more")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await call_center.appeal(number)


async def _has_no_calls(controller: ControllerProcess) -> bool:
    return not controller.calls


@pytest.fixture
def alone() -> Sequence[str]:
    """What a command begins with whose processes can be told from all others."""
    done = subprocess.run((*ALONE, "true"), capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody be alone: {done.stderr}")
    return ALONE


async def test_one_that_was_frozen_with_its_sentinel_is_fenced(
    call_center: CallCenter,
    other: ControllerProcess,
    alone: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by systemctl freeze. What Asterisk told it meanwhile waits for it to act on."""
    number = "+77020100060"
    # Beside other tests somebody waits for the processor all the time: nobody would look frozen.
    monkeypatch.setattr(membership, "cpu_pressure", lambda: 0.0)
    monkeypatch.setattr(membership, "LATE_AFTER", 60.0)
    monkeypatch.setattr(membership, "FROZEN_AFTER", fence.UNSURE_AFTER + 1)  # it will be unsure
    async with (
        running_controller_program(call_center.settings, "line-1", before=alone) as line,
        call_center.softphone("201") as consultant,
        call_center.caller(number) as caller,
    ):
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        inside = psutil.Process(line.pid).children(recursive=True)
        for each in inside:
            each.suspend()
        await until(lambda: has_calls(other), "the other controller has the call", 30)
        await held(call_center, number, "201")
        assert not line.has_ended
        for each in inside:
            each.resume()
        await line.ended()
        await ends_as_one_call(call_center, caller, leg, number)
    assert "fenced: the calls" in line.log.read_text()
    await recorded_whole(call_center, number)


async def test_an_orderly_stop_hands_calls_over_without_a_word(
    call_center: CallCenter, line: ControllerProgram, peer: None
) -> None:
    numbers = ["+77020100030", "+77020100031"]
    async with (
        call_center.softphone("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as waiting,
    ):
        await consultant.register()
        leg = await connected(call_center, talking, consultant)
        await waiting.press("0")
        await has_happened(call_center, numbers[1], CallEvent.WAITING)
        since = time.monotonic()
        await line.kill(signal.SIGTERM)
        await both_hear(talking, leg)
        assert lost_packets(talking, since) == lost_packets(leg, since) == 0
        await leg.hang_up()
        await talking.ended()
        again = await consultant.next_call(20)
        await again.answer()
        await both_hear(waiting, again)
        assert not call_center.was_heard(waiting, "kk", "sorry_going_on")
        await again.hang_up()
        await waiting.ended()
        appeals = [await call_center.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.TALKED}


async def test_a_hangup_during_handover_is_not_lost(
    call_center: CallCenter, line: ControllerProgram, other: ControllerProcess, peer: None
) -> None:
    number = "+77020100199"

    async def nobody_is_there() -> bool:  # but perhaps the bridge that claims its calls
        return await call_center.switch.channels() == []

    async with call_center.caller(number) as caller:
        await has_happened(call_center, number, CallEvent.ANSWERED)
        async with other.takeover.turn:  # so that the hand-over lasts
            await line.kill(signal.SIGTERM)
            await caller.hang_up()
            await until(nobody_is_there, "the caller has left the switch")
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.LEFT_IN_GREETING
    assert appeal.ended_at is not None
