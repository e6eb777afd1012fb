"""Caller and consultant hear each other, and the conversation is recorded (R17)."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from callcenter.line.call import Call, to_the_end, while_there
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Consultant, Leg, LegGone, RecordingUnproved
from callcenter.line.supervision import supervised
from callcenter.line.urgency import keys_of_a_conversation

log = logging.getLogger(__name__)

KEYS_APART = 3.0  # seconds within which the next key of a feature code must follow


async def talked_until_redirect(call: Call, consultant: Consultant, leg: Leg) -> bool:
    """The conversation, from both being connected to the consultant's leaving.

    True when the consultant keyed the redirection to 1414, False when the consultant hung up.
    Raises NotAnswered when the consultant was gone before the two heard each other.
    """
    async with call.switch.connected(call.leg, leg):
        call.record.consultant(consultant.id)
        call.if_left = Outcome.TALKED
        call.record.moment(Moment.CONNECTED, consultant=consultant.extension)
        async with supervised(call, leg), _recording(call, consultant):
            with keys_of_a_conversation(call):
                return await while_there(call.leg, _redirect_keyed(call, leg))


async def _redirect_keyed(call: Call, consultant: Leg) -> bool:
    wanted = call.times.redirect_keys
    typed = ""
    try:
        while True:
            key = await consultant.key(KEYS_APART)
            typed = (typed + key)[-len(wanted) :] if key else ""
            if typed == wanted:
                return True
    except LegGone:
        return False


@asynccontextmanager
async def _recording(call: Call, consultant: Consultant) -> AsyncIterator[None]:
    """One recording of one conversation; a fault of it never ends the conversation.

    The recording is registered before it starts, so that no file can be left that nobody knows.
    """
    recording_id = uuid4()
    name = f"{recording_id}.raw"
    call.record.recording_started(recording_id, consultant.id, name)
    try:
        await _start_recording(call, recording_id, name)
        yield
    finally:
        await to_the_end(_stop_recording(call, recording_id, name))


async def _start_recording(call: Call, recording_id: UUID, name: str) -> None:
    try:
        await call.switch.start_recording(call.leg, call.times.spool / name)
        call.record.moment(Moment.RECORDING_STARTED, recording=str(recording_id))
    except RecordingUnproved as exc:
        log.error("call %s: %s", call.leg.id, exc)
        call.record.moment(Moment.RECORDING_FAILED, recording=str(recording_id), why=str(exc))


async def _stop_recording(call: Call, recording_id: UUID, name: str) -> None:
    try:
        await call.switch.stop_recording(call.leg, call.times.spool / name)
        call.record.moment(Moment.RECORDING_STOPPED, recording=str(recording_id))
    except RecordingUnproved as exc:
        # Field complaint 25: what cannot be proved stopped must not go on to somebody outside.
        call.recording_unproved = True
        log.error("call %s: %s", call.leg.id, exc)
        call.record.moment(Moment.RECORDING_FAILED, recording=str(recording_id), why=str(exc))
    call.record.recording_stopped(recording_id)
