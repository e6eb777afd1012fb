"""Hearing a message without a switch: every ending, and every ending cut at every step."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from callcenter.errors import WeFailed
from callcenter.line.hearing import Audio, Hearing, Wish, heard
from callcenter.line.ports import Consultant, Leg, LegGone, NotAnswered
from tests.flow.endings import LATE, assert_nothing_left, cuts_of
from tests.flow.legs import FakeLeg
from tests.flow.story import TIMES, Story
from tests.flow.world import World

MESSAGE = "ru/message"
ENDINGS = {
    "done": (Story({"hearing_keys": "2"}, consultants=[""]), Wish.DONE),
    "heard twice": (Story({"hearing_keys": "12"}, consultants=[""]), Wish.DONE),
    "after a wrong key and silence": (
        Story({"hearing_keys": ["5", None, "9"]}, consultants=[""]),
        Wish.LATER,
    ),
    "no key": (Story({}, consultants=[""]), Wish.LATER),
    "called": (Story({"hearing_keys": "3"}, consultants=[""]), Wish.CALL),
    "called at the first words": (Story({}, {"message": "3"}, consultants=[""]), Wish.CALL),
    "not answered": (Story({}, consultants=[LATE]), Wish.UNANSWERED),
}
of_each_ending = pytest.mark.parametrize(("story", "wish"), ENDINGS.values(), ids=ENDINGS)


class HearingWorld(World):
    """A world with a message, in which the telephone that is rung is the consultant's."""

    def __init__(self, story: Story, *, refusal: str | None = None, away: bool = False) -> None:
        super().__init__(story)
        self.put_down: list[str] = []
        self.refusal = refusal
        self.away = away

    @asynccontextmanager
    async def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[FakeLeg]:
        with self.holding("leg"):
            await self.operation()
            for does in self.story.consultants:
                if isinstance(does, NotAnswered):
                    raise does
            yield self.leg

    @asynccontextmanager
    async def played_to(self, consultant: Consultant) -> AsyncIterator[Audio]:
        await self.operation()
        if self.away:
            raise WeFailed("as the story goes")
        with self.holding("audio"):
            self.put_down.append("played")
            yield Audio(MESSAGE, 0)

    async def done(self, consultant: Consultant) -> None:
        await self.operation()
        self.put_down.append("done")

    async def call_begun(self, consultant: Consultant) -> str | None:
        await self.operation()
        if self.refusal is None:
            self.put_down.append("call")
        return self.refusal


async def listen(world: HearingWorld) -> Wish:
    async with world.place("message-1", "ru", arrived=1.0, urgent=False) as place:
        consultant = await place.offer(60)
        assert consultant is not None
        hearing = Hearing(world, "ru", "ru MESSAGE", 15, TIMES.key_timeout, world, world)
        return await heard(hearing, place, consultant)


@of_each_ending
async def test_every_ending_is_put_down_and_leaves_nothing(story: Story, wish: Wish) -> None:
    world = HearingWorld(story)
    assert await listen(world) == wish
    assert_nothing_left(world)
    assert ("done" in world.put_down) == (wish is Wish.DONE)
    assert ("call" in world.put_down) == (wish is Wish.CALL)
    assert world.put_down.count("played") == world.leg.heard.count(MESSAGE)


async def test_nothing_is_played_before_it_was_put_down_nor_done_before_it_was_heard() -> None:
    world = HearingWorld(Story({"hearing_keys": "2"}, {"message": "2"}, consultants=[""]))
    assert await listen(world) is Wish.LATER
    assert "ru/hearing_not_whole" in world.leg.heard
    assert "done" not in world.put_down
    world = HearingWorld(Story({"hearing_keys": "12"}, {"message": "2"}, consultants=[""]))
    assert await listen(world) is Wish.DONE
    assert world.put_down == ["played", "played", "done"]


async def test_who_may_not_call_the_applicant_hears_why_and_chooses_again() -> None:
    story = Story({"hearing_keys": "32"}, consultants=[""])
    world = HearingWorld(story, refusal="call_unwanted")
    assert await listen(world) is Wish.DONE
    assert world.leg.heard.count("ru/call_unwanted") == 1


async def test_who_cannot_hear_it_now_is_told_so() -> None:
    world = HearingWorld(Story({}, consultants=[""]), away=True)
    with pytest.raises(WeFailed):
        await listen(world)
    assert world.leg.heard == ["ru/hearing_begin", "ru/hearing_failed"]
    assert_nothing_left(world)


def cuts(
    story: Story, how: Callable[[HearingWorld, asyncio.Task[Wish]], object]
) -> AsyncIterator[tuple[HearingWorld, asyncio.Task[Wish]]]:
    return cuts_of(lambda: HearingWorld(story), listen, how)


@of_each_ending
async def test_the_consultant_may_hang_up_at_every_step(story: Story, wish: Wish) -> None:
    async for world, hearing in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        became = await hearing
        assert became in (Wish.LATER, wish)
        assert (became is Wish.CALL) == ("call" in world.put_down)
        assert (became is Wish.DONE) == ("done" in world.put_down)


@of_each_ending
async def test_it_may_be_cancelled_at_every_step(story: Story, wish: Wish) -> None:
    async for _, hearing in cuts(story, lambda _, hearing: hearing.cancel()):
        assert hearing.cancelled()
