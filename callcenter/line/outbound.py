"""A consultant calls a number: a state body (R10), or an applicant; read from top to bottom.

The consultant's own telephone, the number, the notice of recording, the conversation. Whether the
number may be called was decided before, and the consultant is offered nobody meanwhile.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from callcenter.appeals.callers import mask
from callcenter.line.call import Call, while_there
from callcenter.line.codes import LANGUAGES
from callcenter.line.flow import after, served
from callcenter.line.guests import Talker
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import (
    Consultant,
    Leg,
    LegGone,
    LegLost,
    NotAnswered,
    OutgoingRecord,
    Sounds,
    Switch,
)
from callcenter.line.talk import Parting, talked

#: What the consultant is told of a number that did not answer; of all else: out of reach.
_TOLD = {"busy": "called_busy", "no_answer": "called_no_answer", "left": "called_no_answer"}


class Occupation(Protocol):
    """That the consultant is offered nobody; `talked` is set once the two talk."""

    talked: bool


@dataclass
class Outgoing:
    """A call of a consultant's. `number` is E.164 or short, `shown` is what the called party sees.

    `language` is that of the appeal, if it has one. `conversation` makes the call of the called
    leg, as all conversations are; `how` it was asked for is a detail of its moments.
    """

    consultant: Consultant
    number: str
    shown: str
    how: str
    language: str | None
    record: OutgoingRecord
    occupation: Occupation
    side: AsyncExitStack
    switch: Switch
    sounds: Sounds
    ring_timeout: float
    conversation: Callable[[Leg], Call]
    if_left: Outcome = Outcome.GIVEN_UP


async def outgoing_call(out: Outgoing, own: AbstractAsyncContextManager[Leg]) -> Outcome:
    """Connect the consultant, whose leg `own` is once it is entered, with the number.

    Returns what became of it. Cancelling, and every ending, hangs up both.
    """
    detail = {"consultant": out.consultant.extension, "number": mask(out.number), "how": out.how}
    out.record.moment(Moment.CALLING, **detail)
    try:
        async with AsyncExitStack() as called_side:
            try:
                leg = await out.side.enter_async_context(own)
            except NotAnswered as why:
                missed = {"consultant": out.consultant.extension, "why": str(why)}
                out.record.moment(Moment.UNANSWERED, **missed)
                return Outcome.GIVEN_UP
            try:
                called = await while_there(leg, _reached(out, leg, called_side))
            except NotAnswered as why:
                return await _not_reached(out, leg, str(why))
            return await _talked(out, leg, called)
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegGone:
        return out.if_left


async def _reached(out: Outgoing, leg: Leg, called_side: AsyncExitStack) -> Leg:
    """The called party's leg, once it has heard that the conversation is recorded."""
    async with leg.ringing():
        called = await called_side.enter_async_context(
            out.switch.call_number(out.number, out.shown, out.ring_timeout, beside=leg)
        )
        out.record.carried_by(called.id)
        out.record.moment(Moment.REACHED)
        try:
            await called.play(_notice(out), until_key=False)
        except LegLost:
            raise
        except LegGone:
            raise NotAnswered("left") from None
        out.record.moment(Moment.NOTICE, whole=True)
    return called


def _notice(out: Outgoing) -> Sequence[str]:
    """Who we are is not said: somebody else may have taken the applicant's telephone."""
    languages = (out.language,) if out.language else LANGUAGES
    return [out.sounds.sound(language, "called_notice") for language in languages]


async def _not_reached(out: Outgoing, leg: Leg, why: str) -> Outcome:
    out.record.moment(Moment.NOT_REACHED, why=why)
    out.if_left = Outcome.NOT_REACHED
    prompt = _TOLD.get(why, "called_unreachable")
    await leg.play([out.sounds.sound(each, prompt) for each in LANGUAGES], until_key=False)
    return Outcome.NOT_REACHED


async def _talked(out: Outgoing, leg: Leg, called: Leg) -> Outcome:
    """The conversation; a called party who is left alone is served as a caller is."""
    call = out.conversation(called)
    out.occupation.talked = True
    try:
        parting = await talked(call, Talker(out.consultant, leg, out.side))
        await out.side.aclose()
        if parting is Parting.TALKED:
            return Outcome.TALKED
        return await after(call, parting) or await served(call)
    except NotAnswered:  # the consultant left this very moment
        return Outcome.GIVEN_UP
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegGone:
        return call.if_left
