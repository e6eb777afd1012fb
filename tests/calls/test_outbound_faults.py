"""A controller dies during calls that consultants make.

docs/operations/failures.md tells operators what is seen here.
"""

import pytest

from callcenter.line.outcomes import Outcome
from tests.calls.fragile import both_hear
from tests.calls.house import House
from tests.calls.parts import Line
from tests.calls.test_outbound import ended

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_conversation_with_a_number_outlives_its_controller(
    house: House, line: Line
) -> None:
    number = "+77010400001"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        leg = await consultant.call(number)
        await leg.answered()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        await line.kill()
        await both_hear(called, leg)
        await line.start()
        await both_hear(called, leg)
        await called.hang_up()
        await leg.ended(20)
        call = await ended(house, number)
    assert call.outcome == Outcome.TALKED
    (recording,) = await house.recordings(await house.appeal(number))
    assert recording.ended_at is not None


async def test_a_number_that_a_killed_controller_rang_stops_ringing_and_so_does_the_consultant(
    house: House, line: Line
) -> None:
    number = "+77010400002"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        leg = await consultant.call(number)
        await leg.answered()
        leg.send_silence()
        called = await phone.next_call()
        await line.kill()
        await line.start()
        await called.ended(20)
        await leg.ended(20)
