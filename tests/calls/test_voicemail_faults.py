"""A message survives the death of whoever was taking it down."""

import pytest

from callcenter.recordings.sealing.spool import is_closed
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import CallCenter
from tests.calls.processes import ControllerProgram
from tests.calls.test_callback_requests import forget_promises
from tests.calls.test_voicemail import is_longer, is_the_tone, messages, prompted_to_speak, speaks
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_recording_a_message_survives_its_controller(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77060000021"
    async with prompted_to_speak(call_center, number) as caller:
        recording_id = await speaks(call_center, caller)
        (file,) = call_center.settings.spool.glob(f"*-{recording_id}.raw")
        await line.kill()
        await is_longer(file, file.stat().st_size)  # the switch goes on
        await line.start()

        async def has_ended() -> bool:
            await caller.press("#")  # one pressed before is heard by nobody
            return is_closed(file)

        await until(has_ended, "the caller ends the message")
        await call_center.hears(caller, "kk", "message_ok")
        await caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.MESSAGE
    await is_the_tone(call_center, number, recording_id)
    assert await messages(call_center) == [recording_id]
    await forget_promises(call_center)
