"""Voicemail: a caller leaves a recorded message, which is delivered to a consultant.

It is registered in PostgreSQL before the caller is asked to speak, so that it is delivered also
when the caller hangs up, or when a process dies meanwhile.
"""

import logging
import time
from uuid import UUID

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call, run_to_completion
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import LegHungUp
from callcenter.telephony.calls.recording_session import RecordingSession

log = logging.getLogger(__name__)

END_KEY = "#"


async def record_voicemail(call: Call) -> bool:
    """Record a voicemail up to the pound key or the limit; False when there is none.

    The caller is told before that it is recorded. A hangup ends it and it is delivered, as
    `call.if_left` says then; so is one that is interrupted otherwise. Raises LegHungUp.
    """
    await call.say("message_begin", until_key=False)
    recording = RecordingSession(call)
    try:
        is_registered = await _register(call, recording)
        has_message = is_registered and await _record_speech(call, recording.id)
    finally:
        await run_to_completion(recording.stop())
    if not has_message:
        await call.say("message_none" if is_registered else "not_kept", until_key=False)
        return False
    await call.say("message_ok", "goodbye", until_key=False)
    return True


async def resume_voicemail(call: Call, recording_id: UUID) -> bool:
    """Resume a voicemail that is registered and recording, as `record_voicemail`."""
    recording = RecordingSession(call, recording_id)
    call.if_left = Outcome.MESSAGE
    try:
        how = await _wait_end(call)
    finally:
        await run_to_completion(recording.stop())
    call.record.add_event(CallEvent.MESSAGE_LEFT, how=how)
    await call.say("message_ok", "goodbye", until_key=False)
    return True


async def _register(call: Call, recording: RecordingSession) -> bool:
    """Start recording and register the voicemail; returns whether both are certain."""
    if not await recording.start(None):
        return False
    is_registered = False
    try:
        await call.record.register_voicemail(
            recording_id=recording.id,
            language=call.consultant_language,
            arrived=call.waits_since or time.time(),
            urgent=bool(call.urgencies),
        )
        is_registered = True
    except OperationFailed as exc:
        log.error("voicemail registration failed: call %s: %s", call.leg.id, exc)
    finally:
        if not is_registered:
            call.record.discard_voicemail(recording.id)  # it may have been stored after all
    return is_registered


async def _record_speech(call: Call, recording_id: UUID) -> bool:
    """Record until the end, an interruption or a hangup; returns whether there is speech."""
    started_at: float | None = None
    how = "interrupted"
    try:
        await call.say("message_speak", until_key=False)
        started_at = time.monotonic()
        how = await _wait_end(call)
    except LegHungUp:
        how = "hung_up"
        raise
    finally:
        has_message = (
            started_at is not None and time.monotonic() - started_at >= call.times.message_shortest
        )
        if has_message:
            call.if_left = Outcome.MESSAGE
            call.record.add_event(CallEvent.MESSAGE_LEFT, how=how)
        else:
            call.record.discard_voicemail(recording_id)
            call.record.add_event(CallEvent.MESSAGE_EMPTY)
    return has_message


async def _wait_end(call: Call) -> str:
    """Wait for the end key or the limit; returns which. Other keys are ignored."""
    ends_at = time.monotonic() + call.times.message_limit
    while (left := ends_at - time.monotonic()) > 0:
        key = await call.leg.key(left)
        if key == END_KEY:
            return "key"
        if key is None:
            break
    return "limit"
