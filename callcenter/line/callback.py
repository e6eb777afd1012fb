"""Somebody who did not wait is called back: the number, whoever picks up, the consultant.

A consultant is held for the call before anybody is called. Whoever picks up may be the danger that
the applicant told of, or a machine: nothing is said of who calls until a key says that this call
was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from callcenter.line.call import Call
from callcenter.line.flow import served
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, LegGone, LegLost, NotAnswered, Place, Record, Switch
from callcenter.line.urgency import danger_at_any_time, unless_urgent

TRIES = 3  # times that the words are said which name nobody


class CallbackRecord(Record, Protocol):
    """What is kept of a call of ours."""

    def carried_by(self, leg_id: str) -> None:
        """This leg lives as long as the call from now on."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One attempt, from 1 on. `number` is E.164, `shown` is what the telephone shows.

    `conversation` makes the call of the leg that has answered.
    """

    number: str
    shown: str
    attempt: int
    ring_timeout: float
    record: CallbackRecord
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
            return await _picked_up(back.conversation(leg), place)
    except NotAnswered as why:
        back.record.moment(Moment.NOT_REACHED, why=str(why))
        return Outcome.NOT_REACHED


async def _picked_up(call: Call, place: Place) -> Outcome:
    call.if_left = Outcome.NOT_REACHED
    try:
        with danger_at_any_time(call):
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
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegGone:
        if call.leg.died:
            call.record.moment(Moment.CALLER_LOST)
        return call.if_left


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
