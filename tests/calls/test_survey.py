"""The question after a conversation, on the real Asterisk."""

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import connected

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_caller_left_to_the_survey_has_the_mark_stored(
    call_center: CallCenter,
) -> None:
    number = "+77060000021"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        leg = await connected(call_center, caller, consultant)
        await leg.press("*15")
        await leg.ended()
        caller.send_silence()
        await call_center.hears(caller, "kk", "survey")
        await caller.press("4")
        await call_center.hears(caller, "kk", "survey_thanks")
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    marks = [e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.SURVEYED]
    assert marks == [{"mark": 4}]
    (recording,) = await call_center.recordings(appeal)
    assert recording.state == "closed"


async def test_a_caller_may_hang_up_instead_of_judging(call_center: CallCenter) -> None:
    number = "+77060000022"
    async with call_center.consultant("201") as consultant, call_center.caller(number) as caller:
        leg = await connected(call_center, caller, consultant)
        await leg.press("*15")
        await leg.ended()
        await call_center.hears(caller, "kk", "survey")
        await caller.hang_up()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert CallEvent.SURVEYED not in await call_center.moments(appeal)
