"""Callback attempts on fakes: every ending, and every ending interrupted at every step."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from callcenter.telephony.calls.outbound.callback import CallbackAttempt, run_callback
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import Leg, LegHungUp, LegLost, NotAnswered
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.legs import FakeLeg
from tests.flow.scenarios import BUSY, LATE, assert_nothing_left, cuts_of
from tests.flow.story import Story

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


class FakeCalledParty(FakeTelephony):
    """Fake telephony in which the applicant is the called party."""

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


async def run_story(telephony: FakeCalledParty) -> Outcome:
    async with telephony.place("callback-1", "ru", arrived=1.0, urgent=False) as place:
        assert await place.wait_for_offer(60) is not None
        back = CallbackAttempt(
            number="+77011234567",
            shown="111",
            attempt=1,
            ring_timeout=40,
            record=telephony.record,
            switch=telephony,
            conversation=lambda leg: telephony.call(),
        )
        return await run_callback(back, place)


@of_each_ending
async def test_every_ending_has_its_outcome_and_leaves_nothing(
    story: Story, outcome: Outcome
) -> None:
    telephony = FakeCalledParty(story)
    assert await run_story(telephony) == outcome
    assert_nothing_left(telephony)


def cuts(
    story: Story, how: Callable[[FakeCalledParty, asyncio.Task[Outcome]], object]
) -> AsyncIterator[tuple[FakeCalledParty, asyncio.Task[Outcome]]]:
    return cuts_of(lambda: FakeCalledParty(story), run_story, how)


@of_each_ending
async def test_the_applicant_may_hang_up_at_every_step(story: Story, outcome: Outcome) -> None:
    async for telephony, call in cuts(
        story, lambda telephony, _: telephony.leg.leaves(LegHungUp("hung up"))
    ):
        became = await call
        if CallEvent.CALLBACK_CONFIRMED not in telephony.record.events:
            assert became in (Outcome.NOT_REACHED, outcome)
            assert CallEvent.RINGING not in telephony.record.events


@of_each_ending
async def test_the_switch_may_vanish_at_every_step(story: Story, outcome: Outcome) -> None:
    def vanish(telephony: FakeCalledParty, _: object) -> None:
        for leg in (telephony.leg, *telephony.called):
            leg.leaves(LegLost("the switch died"))

    async for _, call in cuts(story, vanish):
        assert await call in (Outcome.LOST_TO_A_FAULT, Outcome.NOT_REACHED, outcome)


@of_each_ending
async def test_it_may_be_cancelled_at_every_step(story: Story, outcome: Outcome) -> None:
    async for _, call in cuts(story, lambda _, call: call.cancel()):
        assert call.cancelled()


@pytest.mark.parametrize("ending", ["no", "a machine"])
async def test_nothing_is_said_of_who_calls_until_a_key_confirms(ending: str) -> None:
    telephony = FakeCalledParty(ENDINGS[ending][0])
    await run_story(telephony)
    assert {each.partition("/")[2] for each in telephony.leg.heard} == {"callback_neutral"}


async def test_the_leased_consultant_is_the_one_who_is_rung() -> None:
    telephony = FakeCalledParty(ENDINGS["talked"][0])
    await run_story(telephony)
    assert telephony.record.consultants == [telephony.offered[0].id]
    assert len(telephony.places) == 1
    assert telephony.record.events.count(CallEvent.RECORDING_STARTED) == 1
