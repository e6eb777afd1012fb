"""A message survives the death of whoever was taking it down."""

import pytest

from callcenter.line.outcomes import Outcome
from callcenter.recordings.spool import is_closed
from tests.calls.house import House, until
from tests.calls.parts import Line
from tests.calls.test_messages import asked_to_speak, is_longer, is_the_tone, messages, speaks
from tests.calls.test_promises import forget_promises

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_message_goes_on_when_the_controller_dies_until_the_caller_ends_it(
    house: House, line: Line
) -> None:
    number = "+77060000021"
    async with asked_to_speak(house, number) as caller:
        recording_id = await speaks(house, caller)
        (file,) = house.settings.spool.glob(f"*-{recording_id}.raw")
        await line.kill()
        await is_longer(file, file.stat().st_size)  # the switch goes on
        await line.start()

        async def has_ended() -> bool:
            await caller.press("#")  # one pressed before is heard by nobody
            return is_closed(file)

        await until(has_ended, "the caller ends the message")
        await house.hears(caller, "kk", "message_ok")
        await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.MESSAGE
    await is_the_tone(house, number, recording_id)
    assert await messages(house) == [recording_id]
    await forget_promises(house)
