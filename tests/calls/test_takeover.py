"""Another controller goes on with the calls of one that is no more."""

import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from callcenter.app import Controller
from callcenter.asterisk.lease import Fenced
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import (
    answered_call,
    both_hear,
    connected,
    has_calls,
    has_happened,
    lost_packets,
    recorded_whole,
    sees,
    unbroken,
)
from tests.calls.house import CONSULTANT_TONE, House, running_controller, until
from tests.calls.parts import Line
from tests.calls.talking import hears_tone, order

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@pytest_asyncio.fixture(loop_scope="session")
async def peer(line: Line, house: House) -> AsyncIterator[None]:
    """Another controller, in this process; `line` has the calls that come before."""
    async with running_controller(house.settings, "line-2", house.engine, house.redis) as other:
        other.switchboard.claiming = False
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        yield


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_conversation_goes_on_with_keys_hold_and_outcome(
    house: House, line: Line, peer: None, fault: str
) -> None:
    number = f"+7702010000{['killed', 'frozen'].index(fault)}"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
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
        unbroken(caller, leg, since)
        await order(house, "201", "hold")
        await has_happened(house, number, Moment.HELD)
        await order(house, "201", "resume")
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()
        await caller.ended()
        appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    await recorded_whole(house, number)


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
        other.switchboard.claiming = False
        leg = await connected(house, caller, consultant)
        await until(lambda: sees(other, "line-1"), "the two know of each other")
        with monkeypatch.context() as held:
            held.setattr(lost.switchboard.lives, "_beat", _nothing)
            await until(lambda: has_calls(other), "the other one has the call")
        await lost.lease.lost()
        await until(lambda: _has_no_calls(lost), "the first one has none any more")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await house.appeal(number)


async def _nothing() -> None:
    """Give no sign of life."""


async def _has_no_calls(controller: Controller) -> bool:
    return not controller.calls


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
