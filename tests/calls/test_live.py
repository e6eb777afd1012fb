"""Live figures while a call goes its way on the real switch (issue 4, point 13)."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from callcenter.line.outcomes import Outcome
from callcenter.live.figures import DeskFigures, Figures
from callcenter.live.watch import Reading, Watch
from tests.calls.house import LIMIT, House, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def seen(
    listener: AsyncGenerator[Reading, None], what: str, true: Callable[[Figures], bool]
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


def at_the_desk(true: Callable[[DeskFigures], bool]) -> Callable[[Figures], bool]:
    return lambda figures: figures.desk is not None and true(figures.desk)


async def test_a_call_is_seen_waiting_ringing_talking_and_then_among_those_of_today(
    house: House,
) -> None:
    watch = Watch(house.engine, house.redis, house.settings)
    async with watch.running(), aclosing(watch.listen()) as listener:
        before = await seen(listener, "today is known", lambda figures: figures.today is not None)
        assert before.today is not None
        assert before.desk is not None
        assert before.desk.controllers == len(house.controllers)
        # Of those at work 203 speaks no Russian, and 204 takes no calls.
        async with (
            house.consultant("203"),
            house.paused_consultant("204"),
            house.caller("+77010000501") as caller,
        ):
            await caller.press("21")
            waits = await seen(
                listener, "the caller waits", at_the_desk(lambda desk: desk.waiting.count == 1)
            )
            assert waits.desk is not None
            assert waits.desk.languages["ru"].waiting.count == 1
            assert waits.desk.languages["ru"].free == 0
            assert waits.desk.languages["kk"].waiting.count == 0
            assert waits.desk.languages["kk"].free == 1
            assert waits.desk.waiting.longest is not None
            assert waits.desk.groups["paused"] == 1
            assert waits.history[-1] == 1
            async with house.softphone("202") as consultant:
                await consultant.register()
                leg = await consultant.next_call()
                rings = await seen(
                    listener, "202 is rung", at_the_desk(lambda desk: desk.groups["ringing"] == 1)
                )
                assert rings.desk is not None
                assert rings.desk.waiting.count == 0
                await leg.answer()
                talks = await seen(
                    listener, "202 talks", at_the_desk(lambda desk: desk.groups["talking"] == 1)
                )
                assert talks.desk is not None
                assert [c.name for c in talks.desk.consultants if c.group == "talking"] == [
                    "Consultant 202"
                ]
                await leg.hang_up()
                await caller.ended()
        assert (await house.appeal("+77010000501")).outcome == Outcome.TALKED
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
