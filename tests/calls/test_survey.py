"""The question after a conversation, on the real Asterisk."""

import pytest

from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import connected
from tests.calls.house import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_consultant_leaves_the_caller_to_the_question_and_the_mark_is_kept(
    house: House,
) -> None:
    number = "+77060000021"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        leg = await connected(house, caller, consultant)
        await leg.press("*15")
        await leg.ended()
        caller.send_silence()
        await house.hears(caller, "kk", "survey")
        await caller.press("4")
        await house.hears(caller, "kk", "survey_thanks")
        await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    marks = [e.detail for e in await house.events(appeal) if e.kind == Moment.SURVEYED]
    assert marks == [{"mark": 4}]
    (recording,) = await house.recordings(appeal)
    assert recording.state == "closed"


async def test_a_caller_may_hang_up_instead_of_judging(house: House) -> None:
    number = "+77060000022"
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        leg = await connected(house, caller, consultant)
        await leg.press("*15")
        await leg.ended()
        await house.hears(caller, "kk", "survey")
        await caller.hang_up()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert Moment.SURVEYED not in await house.moments(appeal)
