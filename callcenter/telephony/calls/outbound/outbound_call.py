"""Outbound call of a consultant to a state body (R10) or an applicant.

Ring the consultant, dial the number, play the recording notice, run the conversation. The number
was authorised before, and the consultant is reserved meanwhile.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.call import Call, while_connected
from callcenter.telephony.calls.conversation.commands import ConversationEnd, run_conversation
from callcenter.telephony.calls.conversation.participants import ConsultantParty
from callcenter.telephony.calls.inbound.flow import (
    resolve_end,
    serve_until_outcome,
    with_outcome,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import (
    ConsultantPort,
    Leg,
    LegHungUp,
    LegLost,
    NotAnswered,
    OutboundRecordPort,
    Reservation,
    Sounds,
    Switch,
)

#: Prompt for the consultant by reason; all other numbers are unreachable.
_FAILURE_PROMPTS = {
    "busy": "called_busy",
    "no_answer": "called_no_answer",
    "left": "called_no_answer",
}


@dataclass
class OutboundCall:
    """Outbound call. `number` is E.164 or short, `shown` is the caller ID.

    `language` is that of the appeal, if it has one. `conversation` makes the call of the called
    leg; `how` it was requested is a detail of its events. `has_next`: another number is called at
    once when this one does not answer. `leg` is the consultant's, once it is there; `failure` is
    why nobody was reached.
    """

    consultant: ConsultantPort
    number: str
    shown: str
    how: str
    language: str | None
    record: OutboundRecordPort
    reservation: Reservation
    stack: AsyncExitStack
    switch: Switch
    sounds: Sounds
    ring_timeout: float
    conversation: Callable[[Leg], Call]
    has_next: bool = False
    if_left: Outcome = Outcome.GIVEN_UP
    leg: Leg | None = None
    failure: str = ""


async def run_outbound_call(
    out: OutboundCall, consultant_leg: AbstractAsyncContextManager[Leg]
) -> Outcome:
    """Connect the consultant, whose leg entering `consultant_leg` gives, with the number.

    Returns the outcome. Both legs are hung up in any case, also when cancelled.
    """
    detail = {"consultant": out.consultant.extension, "number": mask(out.number), "how": out.how}
    out.record.add_event(CallEvent.CALLING, **detail)
    try:
        try:
            out.leg = leg = await out.stack.enter_async_context(consultant_leg)
        except NotAnswered as why:
            missed = {"consultant": out.consultant.extension, "why": str(why)}
            out.record.add_event(CallEvent.UNANSWERED, **missed)
            return Outcome.GIVEN_UP
        async with AsyncExitStack() as called_stack:
            return await _dial_and_talk(out, leg, called_stack)
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegHungUp:
        return out.if_left


async def _dial_and_talk(out: OutboundCall, leg: Leg, called_stack: AsyncExitStack) -> Outcome:
    """Dial the number and run the conversation. Raises LegHungUp of the consultant's leg."""
    try:
        called = await while_connected(leg, _call_party(out, leg, called_stack))
    except NotAnswered as why:
        return await _note_failure(out, leg, str(why))
    except LegHungUp:
        _record_if_lost(out, leg)
        raise
    call = out.conversation(called)
    out.reservation.has_talked = True
    return await with_outcome(call, _run_conversation(out, leg, call))


async def _call_party(out: OutboundCall, leg: Leg, called_stack: AsyncExitStack) -> Leg:
    """Dial the number and play the recording notice; returns the called leg."""
    async with leg.ringing():
        called = await called_stack.enter_async_context(
            out.switch.call_number(out.number, out.shown, out.ring_timeout, beside=leg)
        )
        out.record.set_leg(called.id)
        out.record.add_event(CallEvent.REACHED)
        try:
            await called.play(_notice(out), until_key=False)
        except LegLost:
            raise
        except LegHungUp:
            raise NotAnswered("left") from None
        out.record.add_event(CallEvent.NOTICE, whole=True)
    return called


def _notice(out: OutboundCall) -> Sequence[str]:
    """Return the recording notice. It does not say who calls: anybody may have answered."""
    languages = (out.language,) if out.language else CALLER_LANGUAGES
    return [out.sounds.sound(language, "called_notice") for language in languages]


async def _note_failure(out: OutboundCall, leg: Leg, why: str) -> Outcome:
    out.record.add_event(CallEvent.NOT_REACHED, why=why)
    out.failure, out.if_left = why, Outcome.NOT_REACHED
    if not out.has_next:
        await play_failure(out, leg)
    return Outcome.NOT_REACHED


async def play_failure(out: OutboundCall, leg: Leg) -> None:
    """Say to the consultant why nobody was reached. Raises LegHungUp, OperationFailed."""
    prompt = _FAILURE_PROMPTS.get(out.failure, "called_unreachable")
    await leg.play([out.sounds.sound(each, prompt) for each in CALLER_LANGUAGES], until_key=False)


async def _run_conversation(out: OutboundCall, leg: Leg, call: Call) -> Outcome:
    """Run the conversation; a called party who is left alone is served like a caller."""
    try:
        end = await run_conversation(call, ConsultantParty(out.consultant, leg, out.stack))
    except NotAnswered:  # the consultant just hung up
        _record_if_lost(out, leg)
        return Outcome.GIVEN_UP
    await out.stack.aclose()
    if end is ConversationEnd.TALKED:
        return Outcome.TALKED
    return await resolve_end(call, end) or await serve_until_outcome(call)


def _record_if_lost(out: OutboundCall, leg: Leg) -> None:
    """Record a death of the consultant's telephone before the two talked.

    The called party is not served on: anybody may have answered.
    """
    if leg.connection_lost:
        out.record.add_event(CallEvent.CONSULTANT_LOST, consultant=out.consultant.extension)
