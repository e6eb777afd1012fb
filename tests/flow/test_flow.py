"""Call flow on fakes: every ending, and every ending interrupted at every step."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import LegHungUp, LegLost, NotAnswered
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.legs import FakeLeg
from tests.flow.scenarios import (
    BUSY,
    ENDINGS,
    ENDLESS,
    LATE,
    PATIENCE,
    QUIET,
    SERVED,
    assert_nothing_left,
    cuts,
    run_story,
)
from tests.flow.story import WAITING, Story

of_each_ending = pytest.mark.parametrize(("story", "outcome"), ENDINGS.values(), ids=ENDINGS)


@of_each_ending
async def test_every_ending_has_its_outcome_and_leaves_nothing(
    story: Story, outcome: Outcome
) -> None:
    assert await run_story(FakeTelephony(story)) == outcome


@pytest.mark.slow
@of_each_ending
async def test_a_caller_may_hang_up_at_every_step(story: Story, outcome: Outcome) -> None:
    async for telephony, call in cuts(
        story, lambda telephony, _: telephony.leg.leaves(LegHungUp("hung up"))
    ):
        became = await call
        assert became in (left_after(telephony.record.events), outcome), telephony.record.events


def left_after(events: list[CallEvent]) -> Outcome:
    """Return the outcome of a caller who hangs up after these events (R25)."""
    left = Outcome.LEFT_IN_GREETING
    for event in events:
        left = {
            CallEvent.BLOCKED: Outcome.BLOCKED,
            CallEvent.LANGUAGE: Outcome.LEFT_IN_MENU,
            CallEvent.WAITING: Outcome.LEFT_WAITING,
            CallEvent.RINGING: Outcome.LEFT_RINGING,
            CallEvent.CONNECTED: Outcome.TALKED,
            CallEvent.CALLBACK_PROMISED: Outcome.CALLBACK,
            CallEvent.MESSAGE_LEFT: Outcome.MESSAGE,
            CallEvent.REDIRECTED: Outcome.REDIRECTED,
        }.get(event, left)
    return left


@pytest.mark.slow
@of_each_ending
async def test_the_switch_may_vanish_at_every_step(story: Story, outcome: Outcome) -> None:
    def vanish(telephony: FakeTelephony, _: object) -> None:
        for leg in (telephony.leg, *telephony.called):
            leg.leaves(LegLost("the switch died"))

    async for _, call in cuts(story, vanish):
        assert await call in (Outcome.LOST_TO_A_FAULT, outcome)


async def test_a_new_switch_knows_no_leg_before_it_is_compared() -> None:
    """It refuses what is requested in that moment: the leg has not hung up, it has vanished."""
    story, outcome = ENDINGS["talked"]

    def compare(legs: Sequence[FakeLeg], turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(compare, legs, turns - 1)
            return
        for leg in legs:
            leg.leaves(LegLost("the switch died"))

    def restart(telephony: FakeTelephony, _: object) -> None:
        legs = (telephony.leg, *telephony.called)
        for leg in legs:
            leg.is_missing = True
        compare(legs, QUIET)

    async for _, call in cuts(story, restart):
        assert await call in (Outcome.LOST_TO_A_FAULT, outcome)


@pytest.mark.slow
@of_each_ending
async def test_a_call_may_be_cancelled_at_every_step(story: Story, outcome: Outcome) -> None:
    async for _, call in cuts(story, lambda _, call: call.cancel()):
        assert call.cancelled()


@pytest.mark.slow
@of_each_ending
async def test_who_was_called_may_leave_at_every_step(story: Story, outcome: Outcome) -> None:
    def leave(telephony: FakeTelephony, _: object) -> None:
        for leg in telephony.called:
            leg.leaves(LegHungUp("hung up"))

    async for _, call in cuts(story, leave):
        assert await call in SERVED


@of_each_ending
async def test_every_operation_may_fail(story: Story, outcome: Outcome) -> None:
    for number in range(ENDLESS):
        telephony = FakeTelephony(story, fails_at=number)
        call = asyncio.create_task(inbound_call(telephony.call()))
        await asyncio.wait((call,))
        assert_nothing_left(telephony)
        if telephony.operations <= number:
            assert await call == outcome
            return
        # The company of a caller who waits may fail without harm; anything else is for the
        # dialplan's fallback.
        assert isinstance(call.exception(), OperationFailed) or await call in Outcome
    raise AssertionError("the story does not end")


KEYS = st.sampled_from([*"0123456789*#", None])


NEVER_ANSWERED = st.sampled_from([BUSY, LATE, NotAnswered("unreachable")])


INTERRUPTED = [
    "greeting",
    "emergency_hint",
    "recording_notice",
    "err_invalid",
    "connecting",
    "transfer_ecc",
    "nobody_free",
    "goodbye",
    "blocked",
]


STORIES = st.builds(
    Story,
    presses=st.fixed_dictionaries(
        {},
        optional={
            "lang_choice": st.lists(KEYS, max_size=4),
            "menu_main": st.lists(KEYS),
            "blocked": st.lists(KEYS, max_size=20),
            "offer_stay": st.lists(KEYS, max_size=4),
            WAITING: st.lists(KEYS, max_size=20),
        },
    ),
    interrupts=st.dictionaries(
        st.sampled_from(INTERRUPTED),
        st.text("0123456789*#", min_size=1, max_size=4) | st.just("**"),
    ),
    blocked=st.booleans(),
    consultants=st.lists(st.one_of(st.text("145*", max_size=8), NEVER_ANSWERED), max_size=4),
    unified_center=st.lists(st.one_of(st.just(""), NEVER_ANSWERED), max_size=3),
    patience=st.sampled_from([0, PATIENCE]),
    recording_starts=st.booleans(),
    recording_stops=st.booleans(),
)


@given(STORIES)
def test_whatever_people_do_the_call_ends_once_and_leaves_nothing(story: Story) -> None:
    async def tell() -> None:
        telephony = FakeTelephony(story)
        outcome = await run_story(telephony)
        # Nobody hung up and nothing failed, so the call was served, or nobody was there.
        assert outcome in SERVED
        settled = 0 if outcome is Outcome.BLOCKED else 1
        assert telephony.record.events.count(CallEvent.LANGUAGE) == settled
        assert len(telephony.record.languages) == settled

    asyncio.run(tell())


@given(STORIES)
def test_after_the_choice_only_the_calls_language_is_heard(story: Story) -> None:
    async def tell() -> FakeTelephony:
        telephony = FakeTelephony(story)
        await run_story(telephony)
        return telephony

    telephony = asyncio.run(tell())
    for language in telephony.record.languages:
        chosen = telephony.record.heard_before_language
        assert all(each.startswith(f"{language}/") for each in telephony.leg.heard[chosen:])


@given(STORIES)
def test_nobody_goes_to_1414_while_a_recording_may_run(story: Story) -> None:
    async def tell() -> FakeTelephony:
        telephony = FakeTelephony(story)
        await run_story(telephony)
        return telephony

    events = asyncio.run(tell()).record.events
    if CallEvent.REDIRECT_RINGING in events:
        before = events[: events.index(CallEvent.REDIRECT_RINGING)]
        assert before.count(CallEvent.RECORDING_STARTED) == before.count(
            CallEvent.RECORDING_STOPPED
        )
        assert CallEvent.REDIRECT_NOTICE in before
