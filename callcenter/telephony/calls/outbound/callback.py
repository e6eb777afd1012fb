"""Callback attempt: dial the number, ask for consent by key, connect the consultant.

A consultant is leased before dialling. The person who answers may be the danger that the applicant
reported, or a machine: we do not say who calls until a key confirms the request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.inbound.flow import serve_until_outcome, with_outcome
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import (
    Leg,
    NotAnswered,
    OutboundRecordPort,
    QueuePlace,
    Switch,
)
from callcenter.telephony.calls.urgency import interrupt_if_urgent

TRIES = 3  # times that the neutral prompt is played


@dataclass(frozen=True, slots=True)
class CallbackAttempt:
    """One attempt, counted from 1. `number` is E.164, `shown` is the caller ID.

    `conversation` makes the call of the answered leg.
    """

    number: str
    shown: str
    attempt: int
    ring_timeout: float
    record: OutboundRecordPort
    switch: Switch
    conversation: Callable[[Leg], Call]


class CallbackConsent(Enum):
    """Answer of the called party to the neutral prompt."""

    YES = auto()
    NO = auto()
    SILENCE = auto()  #: or invalid keys


async def run_callback(callback: CallbackAttempt, place: QueuePlace) -> Outcome:
    """Dial, and connect with the consultant leased by `place`; returns the outcome.

    NOT_REACHED: no answer, or no consent. The leg is hung up in any case, also when cancelled.
    """
    callback.record.add_event(CallEvent.CALLBACK_CALLING, attempt=callback.attempt)
    try:
        async with callback.switch.call_number(
            callback.number, callback.shown, callback.ring_timeout
        ) as leg:
            callback.record.set_leg(leg.id)
            callback.record.add_event(CallEvent.REACHED)
            call = callback.conversation(leg)
            call.if_left = Outcome.NOT_REACHED
            return await with_outcome(call, _serve_answered(call, place))
    except NotAnswered as why:
        callback.record.add_event(CallEvent.NOT_REACHED, why=str(why))
        return Outcome.NOT_REACHED


async def _serve_answered(call: Call, place: QueuePlace) -> Outcome:
    match await _read_consent(call):
        case CallbackConsent.NO:
            return Outcome.DECLINED
        case CallbackConsent.SILENCE:
            return Outcome.NOT_REACHED
    call.record.add_event(CallEvent.CALLBACK_CONFIRMED)
    await call.say("recording_notice", until_key=False)
    call.recording_notice_played = True
    call.record.add_event(CallEvent.NOTICE, whole=True)
    call.reserved_place = place
    return await serve_until_outcome(call)


async def _read_consent(call: Call) -> CallbackConsent:
    """Ask for consent; two stars, for danger, are consent as well."""
    if call.urgencies:
        return await _ask_consent(call)
    return await interrupt_if_urgent(call, {}, _ask_consent(call)) or CallbackConsent.YES


async def _ask_consent(call: Call) -> CallbackConsent:
    for _ in range(TRIES):
        key = await call.say("callback_neutral") or await call.leg.key(call.times.key_timeout)
        if key == "1":
            return CallbackConsent.YES
        if key == "2":
            return CallbackConsent.NO
    return CallbackConsent.SILENCE
