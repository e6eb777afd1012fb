"""Calling back without a switch: every ending, and every ending cut at every step."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from callcenter.line.callback import Callback, called_back
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, LegGone, LegLost, NotAnswered
from tests.flow.endings import BUSY, LATE, assert_nothing_left, cuts_of
from tests.flow.legs import FakeLeg
from tests.flow.story import Story
from tests.flow.world import World

ENDINGS = {
    "talked": (Story({"callback_neutral": "1"}, consultants=[""]), Outcome.TALKED),
    "after a wrong key and a silence": (
        Story({"callback_neutral": ["7", None, "1"]}, consultants=[""]),
        Outcome.TALKED,
    ),
    "the second consultant": (
        Story({"callback_neutral": "1"}, consultants=[LATE, ""]),
        Outcome.TALKED,
    ),
    "1414 by the consultant": (
        Story({"callback_neutral": "1"}, consultants=["*14"], unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "no": (Story({"callback_neutral": "2"}, consultants=[""]), Outcome.DECLINED),
    "a machine": (Story({}, consultants=[""]), Outcome.NOT_REACHED),
    "danger": (Story({}, {"callback_neutral": "**"}, consultants=[""]), Outcome.TALKED),
    "busy": (Story({}, consultants=[""], network=[BUSY]), Outcome.NOT_REACHED),
}
of_each_ending = pytest.mark.parametrize(("story", "outcome"), ENDINGS.values(), ids=ENDINGS)


class CalledWorld(World):
    """A world in which we call, and the applicant's telephone is the one that is called."""

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[FakeLeg]:
        with self.holding("leg"):
            await self.operation()
            for refusal in self.story.network:
                assert isinstance(refusal, NotAnswered)
                raise refusal
            yield self.leg


async def told(world: CalledWorld) -> Outcome:
    async with world.place("callback-1", "ru", arrived=1.0, urgent=False) as place:
        assert await place.offer(60) is not None
        back = Callback(
            number="+77011234567",
            shown="111",
            attempt=1,
            ring_timeout=40,
            record=world.record,
            switch=world,
            conversation=lambda leg: world.call(),
        )
        return await called_back(back, place)


@of_each_ending
async def test_every_ending_has_its_outcome_and_leaves_nothing(
    story: Story, outcome: Outcome
) -> None:
    world = CalledWorld(story)
    assert await told(world) == outcome
    assert_nothing_left(world)


def cuts(
    story: Story, how: Callable[[CalledWorld, asyncio.Task[Outcome]], object]
) -> AsyncIterator[tuple[CalledWorld, asyncio.Task[Outcome]]]:
    return cuts_of(lambda: CalledWorld(story), told, how)


@of_each_ending
async def test_the_applicant_may_hang_up_at_every_step(story: Story, outcome: Outcome) -> None:
    async for world, call in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        became = await call
        if Moment.CALLBACK_CONFIRMED not in world.record.moments:
            assert became in (Outcome.NOT_REACHED, outcome)
            assert Moment.RINGING not in world.record.moments


@of_each_ending
async def test_the_switch_may_vanish_at_every_step(story: Story, outcome: Outcome) -> None:
    def vanish(world: CalledWorld, _: object) -> None:
        for leg in (world.leg, *world.called):
            leg.leaves(LegLost("the switch died"))

    async for _, call in cuts(story, vanish):
        assert await call in (Outcome.LOST_TO_A_FAULT, Outcome.NOT_REACHED, outcome)


@of_each_ending
async def test_it_may_be_cancelled_at_every_step(story: Story, outcome: Outcome) -> None:
    async for _, call in cuts(story, lambda _, call: call.cancel()):
        assert call.cancelled()


@pytest.mark.parametrize("ending", ["no", "a machine"])
async def test_nothing_is_said_of_who_calls_until_a_key_confirms(ending: str) -> None:
    world = CalledWorld(ENDINGS[ending][0])
    await told(world)
    assert {each.partition("/")[2] for each in world.leg.heard} == {"callback_neutral"}


async def test_the_consultant_held_before_the_call_is_the_one_who_is_rung() -> None:
    world = CalledWorld(ENDINGS["talked"][0])
    await told(world)
    assert world.record.consultants == [world.offered[0].id]
    assert len(world.places) == 1
    assert world.record.moments.count(Moment.RECORDING_STARTED) == 1
