"""Another controller goes on with the calls of one that is no more."""

import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence

import psutil
import pytest
import pytest_asyncio

from callcenter.app import Controller
from callcenter.asterisk.lease import Fenced
from callcenter.asterisk.lives import ESTATE
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.ailing import DYING_AT_A_CALL
from tests.calls.fragile import (
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
from tests.calls.house import CONSULTANT_TONE, House, running_controller, until
from tests.calls.network import ALONE
from tests.calls.parts import Line, running_line
from tests.calls.stalls import Stalls
from tests.calls.talking import hears_tone, order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@pytest_asyncio.fixture(loop_scope="session")
async def other(house: House) -> AsyncIterator[Controller]:
    """Another controller, in this process, that takes no new call."""
    async with running_controller(house.settings, "line-2", house.engine, house.redis) as other:
        other.channels.claiming = False
        yield other


@pytest_asyncio.fixture(loop_scope="session")
async def peer(line: Line, other: Controller) -> None:
    """The two know of each other; `line` has the calls that come."""
    await until(lambda: sees(other, "line-1"), "the two know of each other")


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_conversation_goes_on_with_keys_hold_and_outcome(
    house: House, line: Line, peer: None, fault: str
) -> None:
    number = f"+7702010000{['killed', 'frozen'].index(fault)}"
    await no_check_is_due(house)
    async with (
        house.consultant("201") as consultant,
        house.caller(number) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        since = time.monotonic()
        if fault == "killed":
            await line.kill()
        else:
            line.pause()

        async def is_known() -> bool:
            holder = await house.redis.hget("desk:holders", "201")
            return holder is not None and "line-2" in str(holder)

        await until(is_known, "the other controller has the consultant's call", 5)
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        await order(house, "201", "hold")
        await has_happened(house, number, Moment.HELD)
        await order(house, "201", "resume")
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()
        await caller.ended()
        appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    await recorded_whole(house, number)
    await a_check_is_due(house)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_who_calls_now_does_not_wait_for_a_controller_that_was(
    house: House, line: Line, fault: str
) -> None:
    number = f"+7702010004{['killed', 'frozen'].index(fault)}"
    async with running_controller(house.settings, "line-2", house.engine, house.redis) as other:
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        if fault == "killed":
            await line.kill()
        else:
            line.pause()
        async with Stalls() as stalls, house.caller(number) as caller:
            assert waited(caller) < 0.5 + stalls.longest
            await has_happened(house, number, Moment.GREETING)
            await caller.hang_up()
        assert (await house.appeal(number)).outcome == Outcome.LEFT_IN_GREETING
        await line.ended()  # one that is frozen is killed by the other


async def test_a_caller_whose_controller_dies_with_the_claim_is_greeted_by_another(
    house: House, other: Controller
) -> None:
    """Nobody had put down a word of this call, and the caller has heard none."""
    number = "+77020100050"
    async with running_line(house.settings, "line-1", program=DYING_AT_A_CALL) as line:
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        async with house.phone(number) as phone:
            caller = await phone.call("111")
            await caller.answered()
            caller.send_silence()
            await line.ended()
            await house.hears(caller, "kk", "greeting")
            await caller.hang_up()
    assert (await house.appeal(number)).outcome == Outcome.LEFT_IN_GREETING
    async with house.engine.connect() as connection:
        query = "SELECT count(*) FROM appeal WHERE caller_number = %s"
        assert (await connection.exec_driver_sql(query, (number,))).scalar() == 1


STAGES = ["greeting", "menu", "waiting", "ringing"]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_caller_who_does_not_talk_hears_an_apology_and_is_served_on(
    house: House, line: Line, peer: None, stage: str
) -> None:
    number = f"+7702010001{STAGES.index(stage)}"
    async with house.softphone("202") as consultant, house.caller(number) as caller:
        await consultant.register()
        language = "kk" if stage == "greeting" else "ru"
        if stage == "greeting":
            await house.hears(caller, "kk", "greeting")
        else:
            await caller.press("2")
            await house.hears(caller, "ru", "emergency_hint")
        if stage == "waiting":
            await house.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
            await caller.press("0")
            await has_happened(house, number, Moment.WAITING)
        elif stage == "ringing":
            leg = await answered_call(caller, consultant)
        await line.kill()
        if stage == "ringing":
            await leg.ended()
        await house.hears(caller, language, "sorry_going_on")
        if stage == "greeting":
            await caller.press("2")
        if stage in ("greeting", "menu"):
            await house.hears(caller, "ru", "menu_main")
            await caller.press("1")
        elif stage == "waiting":
            await house.redis.delete("desk:holds")
        leg = await consultant.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "ru"


async def test_a_caller_who_hears_1414_ring_is_served_on_though_that_sound_never_ends(
    house: House, line: Line, peer: None
) -> None:
    async with house.unified_center() as center, house.caller("+77020100015") as caller:
        await caller.press("13")
        ringing = await center.next_call(20)
        await line.kill()
        await ringing.ended()
        await house.hears(caller, "kk", "sorry_going_on")
        leg = await center.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await caller.hang_up()
        await leg.ended()
        assert (await house.appeal("+77020100015")).outcome == Outcome.REDIRECTED


async def test_one_that_comes_back_touches_no_call_that_was_taken_over_and_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are in this process, which nobody kills: what holds it back is its lease alone."""
    with pytest.raises(Fenced):
        await _fenced(house, "+77020100020", monkeypatch)
    appeal = await house.appeal("+77020100020")
    assert appeal.outcome == Outcome.TALKED
    moments = await house.moments(appeal)
    assert moments.count(Moment.RECORDING_STOPPED) == moments.count(Moment.ENDED) == 1


async def _fenced(house: House, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        running_controller(house.settings, "line-1", house.engine, house.redis) as lost,
        house.softphone("201") as consultant,
        house.caller(number) as caller,
        running_controller(house.settings, "line-2", house.engine, house.redis) as other,
    ):
        await consultant.register()
        other.channels.claiming = False
        leg = await connected(house, caller, consultant)
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        with monkeypatch.context() as held:
            held.setattr(lost.channels.lives, "_beat", _nothing)
            await until(lambda: has_calls(other), "the other one has the call")
        await lost.channels.lease.lost()
        await until(lambda: _has_no_calls(lost), "the first one has none any more")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await house.appeal(number)


async def _nothing() -> None:
    """Give no sign of life."""


async def _has_no_calls(controller: Controller) -> bool:
    return not controller.calls


@pytest.fixture
def alone() -> Sequence[str]:
    """What a command begins with that seems to run on a machine of its own."""
    done = subprocess.run((*ALONE, "true"), capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody be alone: {done.stderr}")
    return ALONE


async def test_one_of_another_machine_does_nothing_when_it_goes_on_after_it_was_stopped(
    house: House, other: Controller, alone: Sequence[str]
) -> None:
    """Nobody can kill it there. What Asterisk told it meanwhile waits for it to act on."""
    number = "+77020100060"
    async with (
        running_line(house.settings, "line-1", before=alone) as line,
        house.softphone("201") as consultant,
        house.caller(number) as caller,
    ):
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        inside = psutil.Process(line.pid).children(recursive=True)
        for each in inside:
            each.suspend()
        await until(lambda: has_calls(other), "the other controller has the call")
        await held(house, number, "201")
        assert not line.has_ended
        for each in inside:
            each.resume()
        await line.ended()
        await ends_as_one_call(house, caller, leg, number)
    assert "another controller has taken over" in line.log.read_text()
    await recorded_whole(house, number)


async def test_a_controller_that_is_stopped_in_order_hands_its_calls_over_without_a_word(
    house: House, line: Line, peer: None
) -> None:
    numbers = ["+77020100030", "+77020100031"]
    async with (
        house.softphone("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as waiting,
    ):
        await consultant.register()
        leg = await connected(house, talking, consultant)
        await waiting.press("0")
        await has_happened(house, numbers[1], Moment.WAITING)
        since = time.monotonic()
        await line.kill(signal.SIGTERM)
        await both_hear(talking, leg)
        assert lost_packets(talking, since) == lost_packets(leg, since) == 0
        await leg.hang_up()
        await talking.ended()
        again = await consultant.next_call(20)
        await again.answer()
        await both_hear(waiting, again)
        assert not house.was_heard(waiting, "kk", "sorry_going_on")
        await again.hang_up()
        await waiting.ended()
        appeals = [await house.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.TALKED}


async def test_who_hangs_up_while_calls_are_handed_over_was_not_lost(
    house: House, line: Line, other: Controller, peer: None
) -> None:
    number = "+77020100199"

    async def nobody_is_there() -> bool:  # but perhaps the bridge by which the estate is claimed
        return await house.switch.channels() == []

    async with house.caller(number) as caller:
        await has_happened(house, number, Moment.ANSWERED)
        async with other.takeover._turn:  # so that the hand-over lasts
            await line.kill(signal.SIGTERM)
            await caller.hang_up()
            await until(nobody_is_there, "the caller has left the switch")
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.LEFT_IN_GREETING
    assert appeal.ended_at is not None


async def test_what_one_that_is_killed_had_claimed_is_claimed_no_more(
    house: House, line: Line, other: Controller, peer: None
) -> None:
    """It was killed once the calls had been moved: nobody asks for that estate any more."""
    (life,) = other.channels.lives.roll.serving
    claim = {"type": "holding", "bridgeId": f"{ESTATE}line-9.0", "name": life}
    await other.channels.ari.request("POST", "bridges", claim)
    await line.kill()

    async def nothing_is_claimed() -> bool:
        return await house.switch.bridges() == []

    await until(nothing_is_claimed, "no claim is left")
