"""A message survives the death of whoever was taking it down."""

import pytest

from callcenter.recordings.spool import is_closed
from tests.calls.fragile import falls_back
from tests.calls.house import House, until
from tests.calls.parts import Line
from tests.calls.test_messages import asked_to_speak, is_longer, is_the_tone, messages, speaks
from tests.calls.test_promises import forget_promises

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_what_was_said_until_the_controller_died_is_a_message_and_the_fallback_is_not(
    house: House, line: Line
) -> None:
    number = "+77060000021"
    async with asked_to_speak(house, number) as caller:
        recording_id = await speaks(house, caller)
        (file,) = house.settings.spool.glob(f"*-{recording_id}.raw")
        await line.kill()
        await is_longer(file, file.stat().st_size)  # the switch goes on
        await line.start()

        async def closed() -> bool:
            return is_closed(file)

        await until(closed, "nothing more is recorded")
        await falls_back(house, caller)
        await caller.hang_up()
    await is_the_tone(house, number, recording_id)
    assert await messages(house) == [recording_id]
    await forget_promises(house)
