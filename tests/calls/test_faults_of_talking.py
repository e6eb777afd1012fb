"""The controller dies while a caller is set aside, or while three talk."""

import asyncio
from contextlib import suppress

import pytest

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CONSULTANT_TONE, CallCenter
from tests.calls.disposable_stack import both_hear, has_happened
from tests.calls.processes import ControllerProgram
from tests.calls.talking import THIRD_PARTY_TONE, hears_no_tone, hears_tone, order, talking
from tests.polling import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_a_caller_on_hold_stays_there_until_the_consultant_resumes(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with talking(call_center, "+77020003001") as talk:
        await order(call_center, "201", "hold")
        await has_happened(call_center, "+77020003001", CallEvent.HELD)
        await hears_no_tone(talk.caller, CONSULTANT_TONE)
        await line.kill()
        await line.start()
        await until(lambda: _resumed(call_center), "the consultant has the caller back")
        await both_hear(talk.caller, talk.consultant)
        await talk.consultant.hang_up()
        await talk.caller.ended()
        assert (await call_center.appeal("+77020003001")).outcome == Outcome.TALKED


async def _resumed(call_center: CallCenter) -> bool:
    with suppress(InvalidRequest, OperationFailed):  # nobody has the call yet
        await order(call_center, "201", "resume")
        return True
    return False


async def test_three_parties_survive_a_killed_controller_and_then_two(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with talking(call_center, "+77020003002") as talk, call_center.consultant("204") as other:
        await order(call_center, "201", "consult", to="204")
        third_party = await other.next_call()
        await third_party.answer()
        third_party.send_tone(THIRD_PARTY_TONE)
        await hears_tone(talk.consultant, THIRD_PARTY_TONE)
        await order(call_center, "201", "together")
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await line.kill()
        await line.start()
        await asyncio.gather(
            hears_tone(talk.caller, THIRD_PARTY_TONE), hears_tone(talk.caller, CONSULTANT_TONE)
        )
        await third_party.hang_up()
        await both_hear(talk.caller, talk.consultant)
        await talk.consultant.hang_up()
        await talk.caller.ended()
        assert (await call_center.appeal("+77020003002")).outcome == Outcome.TALKED
