"""Live figures while a call goes its way on the real switch (issue 4, point 13)."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from callcenter.telephony.calls.outcomes import Outcome
from callcenter.wallboard.live_feed import LiveFeed, LiveSnapshot
from callcenter.wallboard.rules import DistributorFigures, Figures
from tests.calls.call_center import LIMIT, CallCenter
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def seen(
    listener: AsyncGenerator[LiveSnapshot, None], what: str, true: Callable[[Figures], bool]
) -> Figures:
    """The first figures of which it is true."""
    found: list[Figures] = []

    async def listened() -> bool:
        figures = (await anext(listener)).figures
        if true(figures):
            found.append(figures)
        return bool(found)

    await until(listened, what, LIMIT)
    return found[0]


def at_the_distributor(true: Callable[[DistributorFigures], bool]) -> Callable[[Figures], bool]:
    return lambda figures: figures.acd is not None and true(figures.acd)


async def test_a_call_is_seen_waiting_ringing_talking_and_done(
    call_center: CallCenter,
) -> None:
    feed = LiveFeed(call_center.engine, call_center.redis, call_center.settings)
    async with feed.running(), aclosing(feed.listen()) as listener:
        before = await seen(listener, "today is known", lambda figures: figures.today is not None)
        assert before.today is not None
        assert before.acd is not None
        assert before.acd.controllers == len(call_center.controllers)
        # Of those at work 203 speaks no Russian, and 204 takes no calls.
        async with (
            call_center.consultant("203"),
            call_center.paused_consultant("204"),
            call_center.caller("+77010000501") as caller,
        ):
            await caller.press("21")
            waits = await seen(
                listener,
                "the caller waits",
                at_the_distributor(lambda distributor: distributor.waiting.count == 1),
            )
            assert waits.acd is not None
            assert waits.acd.languages["ru"].waiting.count == 1
            assert waits.acd.languages["ru"].free == 0
            assert waits.acd.languages["kk"].waiting.count == 0
            assert waits.acd.languages["kk"].free == 1
            assert waits.acd.waiting.longest is not None
            assert waits.acd.groups["paused"] == 1
            assert waits.history[-1] == 1
            async with call_center.softphone("202") as consultant:
                await consultant.register()
                leg = await consultant.next_call()
                rings = await seen(
                    listener,
                    "202 is rung",
                    at_the_distributor(lambda distributor: distributor.groups["ringing"] == 1),
                )
                assert rings.acd is not None
                assert rings.acd.waiting.count == 0
                await leg.answer()
                talks = await seen(
                    listener,
                    "202 talks",
                    at_the_distributor(lambda distributor: distributor.groups["talking"] == 1),
                )
                assert talks.acd is not None
                assert [c.name for c in talks.acd.consultants if c.group == "talking"] == [
                    "Consultant 202"
                ]
                await leg.hang_up()
                await caller.ended()
        assert (await call_center.appeal("+77010000501")).outcome == Outcome.TALKED
        answered = before.today.answered + 1
        after = await seen(
            listener,
            "the call is among those of today",
            lambda figures: (
                figures.today is not None
                and figures.today.answered == answered
                and figures.today.in_progress == 0
            ),
        )
        assert after.today is not None
        assert after.today.answered_in_time == before.today.answered_in_time + 1
        assert after.today.calls == before.today.calls + 1
