"""The rule of a call without a switch: every ending, and every ending cut at every step."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.errors import WeFailed
from callcenter.line.flow import inbound_call
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone, LegLost, NotAnswered
from tests.flow.endings import (
    BUSY,
    ENDINGS,
    ENDLESS,
    LATE,
    PATIENCE,
    SERVED,
    assert_nothing_left,
    cuts,
    told,
)
from tests.flow.story import WAITING, Story
from tests.flow.world import World

of_each_ending = pytest.mark.parametrize(("story", "outcome"), ENDINGS.values(), ids=ENDINGS)


@of_each_ending
async def test_every_ending_has_its_outcome_and_leaves_nothing(
    story: Story, outcome: Outcome
) -> None:
    assert await told(World(story)) == outcome


@pytest.mark.slow
@of_each_ending
async def test_a_caller_may_hang_up_at_every_step(story: Story, outcome: Outcome) -> None:
    async for world, call in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        became = await call
        assert became in (left_after(world.record.moments), outcome), world.record.moments


def left_after(moments: list[Moment]) -> Outcome:
    """What became of a caller who left after the last of these moments (R25)."""
    left = Outcome.LEFT_IN_GREETING
    for moment in moments:
        left = {
            Moment.BLOCKED: Outcome.BLOCKED,
            Moment.LANGUAGE: Outcome.LEFT_IN_MENU,
            Moment.WAITING: Outcome.LEFT_WAITING,
            Moment.RINGING: Outcome.LEFT_RINGING,
            Moment.CONNECTED: Outcome.TALKED,
            Moment.CALLBACK_PROMISED: Outcome.CALLBACK,
            Moment.MESSAGE_LEFT: Outcome.MESSAGE,
            Moment.REDIRECTED: Outcome.REDIRECTED,
        }.get(moment, left)
    return left


@pytest.mark.slow
@of_each_ending
async def test_the_switch_may_vanish_at_every_step(story: Story, outcome: Outcome) -> None:
    def vanish(world: World, _: object) -> None:
        for leg in (world.leg, *world.called):
            leg.leaves(LegLost("the switch died"))

    async for _, call in cuts(story, vanish):
        assert await call in (Outcome.LOST_TO_A_FAULT, outcome)


@pytest.mark.slow
@of_each_ending
async def test_a_call_may_be_cancelled_at_every_step(story: Story, outcome: Outcome) -> None:
    async for _, call in cuts(story, lambda _, call: call.cancel()):
        assert call.cancelled()


@pytest.mark.slow
@of_each_ending
async def test_whoever_was_called_may_leave_at_every_step(story: Story, outcome: Outcome) -> None:
    def leave(world: World, _: object) -> None:
        for leg in world.called:
            leg.leaves(LegGone("hung up"))

    async for _, call in cuts(story, leave):
        assert await call in SERVED


@of_each_ending
async def test_every_operation_may_fail(story: Story, outcome: Outcome) -> None:
    for number in range(ENDLESS):
        world = World(story, fails_at=number)
        call = asyncio.create_task(inbound_call(world.call()))
        await asyncio.wait((call,))
        assert_nothing_left(world)
        if world.operations <= number:
            assert await call == outcome
            return
        # The company of a caller who waits may fail without harm; anything else is for the
        # dialplan's fallback.
        assert isinstance(call.exception(), WeFailed) or await call in Outcome
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
        world = World(story)
        outcome = await told(world)
        # Nobody hung up and nothing failed, so the call was served, or nobody was there.
        assert outcome in SERVED
        settled = 0 if outcome is Outcome.BLOCKED else 1
        assert world.record.moments.count(Moment.LANGUAGE) == settled
        assert len(world.record.languages) == settled

    asyncio.run(tell())


@given(STORIES)
def test_after_the_choice_only_the_language_of_the_call_is_heard(story: Story) -> None:
    async def tell() -> World:
        world = World(story)
        await told(world)
        return world

    world = asyncio.run(tell())
    for language in world.record.languages:
        chosen = world.record.heard_before_language
        assert all(each.startswith(f"{language}/") for each in world.leg.heard[chosen:])


@given(STORIES)
def test_nobody_is_sent_to_1414_while_a_recording_may_be_running(story: Story) -> None:
    async def tell() -> World:
        world = World(story)
        await told(world)
        return world

    moments = asyncio.run(tell()).record.moments
    if Moment.REDIRECT_RINGING in moments:
        before = moments[: moments.index(Moment.REDIRECT_RINGING)]
        assert before.count(Moment.RECORDING_STARTED) == before.count(Moment.RECORDING_STOPPED)
        assert Moment.REDIRECT_NOTICE in before
