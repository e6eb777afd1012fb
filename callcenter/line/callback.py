"""Somebody who did not wait is called back: the number, whoever picks up, the consultant.

A consultant is held for the call before anybody is called. Whoever picks up may be the danger that
the applicant told of, or a machine: nothing is said of who calls until a key says that this call
was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from callcenter.line.call import Call
from callcenter.line.flow import served, to_its_outcome
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, NotAnswered, OutgoingRecord, Place, Switch
from callcenter.line.urgency import unless_urgent

TRIES = 3  # times that the words are said which name nobody


@dataclass(frozen=True, slots=True)
class Callback:
    """One attempt, from 1 on. `number` is E.164, `shown` is what the telephone shows.

    `conversation` makes the call of the leg that has answered.
    """

    number: str
    shown: str
    attempt: int
    ring_timeout: float
    record: OutgoingRecord
    switch: Switch
    conversation: Callable[[Leg], Call]


class Wanted(Enum):
    """What whoever picked up said to the call."""

    YES = auto()
    NO = auto()
    SILENCE = auto()  #: or keys that mean nothing, as a machine is silent


async def called_back(back: Callback, place: Place) -> Outcome:
    """Call, and connect with the consultant whom `place` holds; returns what became of it.

    NOT_REACHED: nobody picked up, or nobody said that the call was asked for. Cancelling, and
    every ending, hangs up.
    """
    back.record.moment(Moment.CALLBACK_CALLING, attempt=back.attempt)
    try:
        async with back.switch.call_number(back.number, back.shown, back.ring_timeout) as leg:
            back.record.carried_by(leg.id)
            back.record.moment(Moment.REACHED)
            call = back.conversation(leg)
            call.if_left = Outcome.NOT_REACHED
            return await to_its_outcome(call, _picked_up(call, place))
    except NotAnswered as why:
        back.record.moment(Moment.NOT_REACHED, why=str(why))
        return Outcome.NOT_REACHED


async def _picked_up(call: Call, place: Place) -> Outcome:
    match await _asked_for(call):
        case Wanted.NO:
            return Outcome.DECLINED
        case Wanted.SILENCE:
            return Outcome.NOT_REACHED
    call.record.moment(Moment.CALLBACK_CONFIRMED)
    await call.say("recording_notice", until_key=False)
    call.notice_heard = True
    call.record.moment(Moment.NOTICE, whole=True)
    call.held = place
    return await served(call)


async def _asked_for(call: Call) -> Wanted:
    """Two stars, for danger, say that it was asked for as well."""
    if call.urgencies:
        return await _key_for_it(call)
    return await unless_urgent(call, {}, _key_for_it(call)) or Wanted.YES


async def _key_for_it(call: Call) -> Wanted:
    for _ in range(TRIES):
        key = await call.say("callback_neutral") or await call.leg.key(call.times.key_timeout)
        if key == "1":
            return Wanted.YES
        if key == "2":
            return Wanted.NO
    return Wanted.SILENCE
