"""A recording session, on fakes."""

import pytest

from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.recording_session import RecordingSession
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.story import Story


@pytest.mark.parametrize("fails", [False, True])
async def test_an_empty_file_proves_nothing_after_a_failure(fails: bool) -> None:
    telephony = FakeTelephony(Story({}, recording_is_empty=True))
    call = telephony.call()
    session = RecordingSession(call)
    assert await session.start(None)
    assert call.on_recording_lost is not None
    if fails:
        call.on_recording_lost("no room on the disk")
    assert await session.stop()
    assert (CallEvent.RECORDING_EMPTY in telephony.record.events) != fails
