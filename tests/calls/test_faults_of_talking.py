"""The controller dies while a caller is set aside, or while three talk."""

import asyncio
from contextlib import suppress

import pytest

from callcenter.errors import AskedWrongly, WeFailed
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import both_hear, has_happened
from tests.calls.house import CONSULTANT_TONE, House, until
from tests.calls.parts import Line
from tests.calls.talking import GUEST_TONE, hears_no_tone, hears_tone, order, talking

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_caller_on_hold_stays_there_until_the_consultant_resumes(
    house: House, line: Line
) -> None:
    async with talking(house, "+77020003001") as talk:
        await order(house, "201", "hold")
        await has_happened(house, "+77020003001", Moment.HELD)
        await hears_no_tone(talk.caller, CONSULTANT_TONE)
        await line.kill()
        await line.start()
        await until(lambda: _resumed(house), "the consultant has the caller back")
        await both_hear(talk.caller, talk.consultant)
        await talk.consultant.hang_up()
        await talk.caller.ended()
        assert (await house.appeal("+77020003001")).outcome == Outcome.TALKED


async def _resumed(house: House) -> bool:
    with suppress(AskedWrongly, WeFailed):  # nobody has the call yet
        await order(house, "201", "resume")
        return True
    return False


async def test_three_go_on_talking_when_the_controller_is_killed_and_then_two(
    house: House, line: Line
) -> None:
    async with talking(house, "+77020003002") as talk, house.consultant("204") as other:
        await order(house, "201", "consult", to="204")
        guest = await other.next_call()
        await guest.answer()
        guest.send_tone(GUEST_TONE)
        await hears_tone(talk.consultant, GUEST_TONE)
        await order(house, "201", "together")
        await hears_tone(talk.caller, GUEST_TONE)
        await line.kill()
        await line.start()
        await asyncio.gather(
            hears_tone(talk.caller, GUEST_TONE), hears_tone(talk.caller, CONSULTANT_TONE)
        )
        await guest.hang_up()
        await both_hear(talk.caller, talk.consultant)
        await talk.consultant.hang_up()
        await talk.caller.ended()
        assert (await house.appeal("+77020003002")).outcome == Outcome.TALKED
