"""Caller and consultant hear each other, and the conversation is recorded (R17).

What the consultant asks for, by a code (`talk_keys.py`), the softphone's hold button or the pages,
is done in the order in which it was asked.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from callcenter.appeals.callers import mask
from callcenter.consultants.orders import Order, OrderRefused
from callcenter.errors import WeFailed
from callcenter.line.call import Call, while_there
from callcenter.line.conversation import OVER, Conversation, conversation
from callcenter.line.guests import (
    Guest,
    Outsider,
    Talker,
    Whom,
    consultant_called,
    outsider_called,
    read_whom,
)
from callcenter.line.happenings import Asked, Came, Found, Left, NotCome
from callcenter.line.outcomes import Moment
from callcenter.line.supervision import supervised
from callcenter.line.survey import may_be_asked
from callcenter.line.urgency import keys_of_a_conversation

log = logging.getLogger(__name__)

LANGUAGES = ("kk", "ru")


class Parting(Enum):
    """How a conversation ended, the caller still being there."""

    TALKED = auto()  #: whoever had the call hung up
    REDIRECT = auto()  #: the consultant asked for 1414
    SURVEY = auto()  #: the consultant left the caller to the question how good it was
    QUEUE = auto()  #: the consultant gave the caller back to the queue
    LOST = auto()  #: the consultant's telephone died, or left a caller who was told to wait


async def talked(call: Call, with_whom: Talker | Found) -> Parting:
    """The conversation, from both being connected to its end, whoever had the call by then.

    One that was `Found` goes on. Raises LegGone when the caller left, NotAnswered when the
    consultant was gone before the two heard each other.
    """
    async with (
        conversation(call, with_whom, _CARRIED_OUT) as talk,
        supervised(talk),
    ):
        with keys_of_a_conversation(call):
            return await while_there(call.leg, _until_parting(talk))


async def _until_parting(talk: Conversation) -> Parting:
    """One thing after another, as it is asked for or happens."""
    while True:
        match await talk.next():
            case Asked() as asked:
                parting = await _carry_out(talk, asked)
            case Came(guest):
                parting = await _guest_came(talk, guest)
            case NotCome(why):
                parting = await _guest_failed(talk, why)
            case Left(who) if who is talk.talker:
                parting = await _talker_left(talk, talk.talker)
            case Left():
                parting = await _guest_left(talk)
        if parting is not None:
            return parting


async def _carry_out(talk: Conversation, asked: Asked) -> Parting | None:
    """Do what was asked, and answer; a refused code is heard by the consultant alone."""
    order = asked.order
    try:
        parting = await _CARRIED_OUT[order.what](talk, order)
        asked.done(talk.state())
        return parting
    except OrderRefused as exc:
        asked.refuse(str(exc))
        if order.detail.get("how") == "key":
            await talk.tell_talker("not_now")
        return None
    except WeFailed as exc:  # the two talk on, whatever cannot be done for them now
        log.error("call %s: %s was not done: %s", talk.call.leg.id, order.what, exc)
        asked.refuse("this cannot be done now: try again in a moment")
        talk.mend()
        return None
    finally:
        asked.refuse(OVER)


# What happens


async def _guest_came(talk: Conversation, guest: Guest) -> Parting | None:
    """The guest and the consultant talk alone, unless the caller is handed over at once."""
    if not await talk.admit(guest):
        return await _guest_failed(talk, "left")
    talk.call.record.moment(Moment.GUEST_ANSWERED, **_whose(guest))
    if isinstance(guest, Talker) and (talk.hands_over or talk.talker is None):
        await _give_to(talk, guest)
    return None


async def _guest_failed(talk: Conversation, why: str) -> Parting | None:
    """The caller comes back to the consultant, and notices it by the music's end."""
    talk.call.record.moment(Moment.GUEST_FAILED, why=why)
    await talk.dismiss_guest()
    if talk.talker is None:
        return Parting.LOST
    await talk.bring_back()
    return None


async def _guest_left(talk: Conversation) -> Parting | None:
    """Somebody outside with whom the caller was alone ends the conversation with that."""
    return Parting.TALKED if talk.talker is None else await _guest_failed(talk, "left")


async def _talker_left(talk: Conversation, talker: Talker) -> Parting | None:
    """Whoever is with the consultant then, or is coming, gets the caller."""
    died = talker.leg.died
    await talk.release_talker()
    match talk.guest:
        case Talker() as guest:
            await _give_to(talk, guest)
            return None
        case Outsider() as guest if await talk.tape.stop(for_good=False):
            await _leave_with(talk, guest)
            return None
        case None if talk.awaits_consultant:
            return None
        case None if not (died or talk.is_aside):
            return Parting.TALKED
    talk.call.record.moment(Moment.CONSULTANT_LOST, consultant=talker.name)
    return Parting.LOST


async def _give_to(talk: Conversation, guest: Talker) -> None:
    await talk.give_to(guest)
    talk.call.record.moment(Moment.TRANSFERRED, consultant=guest.name)


async def _leave_with(talk: Conversation, guest: Outsider) -> None:
    """From now on the caller is alone with somebody outside, without us and unrecorded."""
    await talk.bring_back()
    talk.call.record.moment(Moment.LEFT_OUTSIDE, **_whose(guest))
    await talk.release_talker()


# What a consultant may ask for


async def _hold(talk: Conversation, order: Order) -> None:
    await talk.set_aside(**_how(order))


async def _resume(talk: Conversation, order: Order) -> None:
    """Not while there is a guest: nobody joins a talk that was private by mistake."""
    _must_have_no_guest(talk)
    await talk.bring_back(**_how(order))


async def _hold_or_resume(talk: Conversation, order: Order) -> None:
    await (_resume if talk.is_aside else _hold)(talk, order)


async def _mute(talk: Conversation, order: Order) -> None:
    await talk.mute(True, **_how(order))


async def _unmute(talk: Conversation, order: Order) -> None:
    await talk.mute(False, **_how(order))


async def _mute_or_unmute(talk: Conversation, order: Order) -> None:
    await (_unmute if talk.is_muted else _mute)(talk, order)


async def _consult(talk: Conversation, order: Order) -> None:
    """Attended: the consultant speaks with another one first; the caller does not hear it."""
    await _call_consultant(talk, order, hands_over=False)


async def _transfer(talk: Conversation, order: Order) -> None:
    """Blind: the caller goes to another consultant as soon as that one answers."""
    await _call_consultant(talk, order, hands_over=True)


async def _call_consultant(talk: Conversation, order: Order, *, hands_over: bool) -> None:
    whom = read_whom(order.detail.get("to", ""))
    if whom is None:
        raise OrderRefused("whom? give the extension of a consultant, or a skill: skill:lawyer:3")
    _must_have_no_guest(talk)
    await talk.set_aside(**_how(order))
    talk.call.record.moment(Moment.GUEST_CALLED, **whom.detail(), **_how(order))
    place = talk.call.next_place()
    calling = consultant_called(talk.call, whom, place)
    talk.call_guest(calling, is_consultant=True, hands_over=hands_over)


async def _ring_again(talk: Conversation, order: Order) -> None:
    """The consultant's telephone began anew, as when its page was loaded again."""
    _must_have_no_guest(talk)
    await talk.set_aside(**_how(order))
    if talk.talker is not None:
        whom = Whom(talk.talker.name)
        talk.call.record.moment(Moment.GUEST_CALLED, **whom.detail(), **_how(order))
        talk.call_talker_again()


async def _call(talk: Conversation, order: Order) -> None:
    """Somebody outside: an interpreter, a state body, 102."""
    number = talk.call.may_call(order.detail.get("to", ""))
    if number is None:
        raise OrderRefused("the line does not call this number")
    _must_have_no_guest(talk)
    await talk.set_aside(**_how(order))
    talk.call.record.moment(Moment.GUEST_CALLED, number=mask(number), **_how(order))
    calling = outsider_called(talk.call, number)
    talk.call_guest(calling, is_consultant=False, hands_over=False)


async def _back(talk: Conversation, order: Order) -> None:
    """The guest is let go, and the caller comes back."""
    await talk.dismiss_guest()
    await talk.bring_back(**_how(order))


async def _together(talk: Conversation, order: Order) -> None:
    """Caller, consultant and guest hear each other."""
    _guest_of(talk)
    await talk.bring_back(**_how(order))
    talk.call.record.moment(Moment.TOGETHER, **_how(order))


async def _hand_over(talk: Conversation, _order: Order) -> None:
    """The consultant leaves the caller with the guest."""
    match _guest_of(talk):
        case Talker() as guest:
            await _give_to(talk, guest)
        case Outsider() as guest:
            await _must_stop_recording(talk)
            await _leave_with(talk, guest)


async def _queue(talk: Conversation, order: Order) -> Parting:
    """Back to the queue, with the time of arrival kept, and perhaps for another language."""
    _must_have_no_guest(talk)
    language = order.detail.get("language")
    if language is not None:
        if language not in LANGUAGES:
            raise OrderRefused("the line speaks kk and ru")
        talk.call.other_language = language
    talk.call.record.moment(Moment.SENT_BACK, language=talk.call.wanted_language, **_how(order))
    return Parting.QUEUE


async def _redirect(talk: Conversation, _order: Order) -> Parting:
    """To 1414. A caller whose recording may be running yet stays."""
    await _must_stop_recording(talk)
    return Parting.REDIRECT


async def _take_over(talk: Conversation, _order: Order) -> None:
    """A supervisor gets the caller; whoever had the call goes to wrap-up."""
    taker, talk.taker = talk.taker, None
    if taker is None or not await talk.admit(taker):
        raise OrderRefused("nobody is there to take over")
    await talk.dismiss_guest()
    await _give_to(talk, taker)


async def _record(talk: Conversation, _order: Order) -> None:
    """Nothing, when it is recorded."""
    await talk.record_again()


async def _as_told(talk: Conversation, _order: Order) -> None:
    await talk.be_as_told()


async def _survey(talk: Conversation, _order: Order) -> Parting:
    if not await may_be_asked(talk.call):
        raise OrderRefused("who is in need is not asked for a mark")
    return Parting.SURVEY


async def _nothing(_talk: Conversation, _order: Order) -> None:
    """How things stand is answered to every order."""


def _must_have_no_guest(talk: Conversation) -> None:
    if talk.guest is not None or talk.awaits_guest:
        raise OrderRefused("somebody is with you, or being called: end that first")


def _guest_of(talk: Conversation) -> Guest:
    if talk.guest is None:
        raise OrderRefused("nobody is there whom you called")
    return talk.guest


async def _must_stop_recording(talk: Conversation) -> None:
    """Field complaint 25: what cannot be proved stopped must not go on to somebody outside."""
    if not await talk.tape.stop(for_good=False):
        raise OrderRefused("the recording cannot be proved stopped, so the caller stays")


_CARRIED_OUT: Mapping[str, Callable[[Conversation, Order], Awaitable[Parting | None]]] = {
    "status": _nothing,
    "hold": _hold,
    "resume": _resume,
    "hold_or_resume": _hold_or_resume,
    "mute": _mute,
    "unmute": _unmute,
    "mute_or_unmute": _mute_or_unmute,
    "ring_again": _ring_again,
    "consult": _consult,
    "transfer": _transfer,
    "call": _call,
    "back": _back,
    "together": _together,
    "hand_over": _hand_over,
    "queue": _queue,
    "redirect": _redirect,
    "survey": _survey,
    "record": _record,
    "as_told": _as_told,
    "take_over": _take_over,
}


def _whose(guest: Guest) -> dict[str, str]:
    """Who a guest is, as a detail of moments."""
    return {"consultant": guest.name} if isinstance(guest, Talker) else {"number": mask(guest.name)}


def _how(order: Order) -> dict[str, str]:
    """How it was asked for, as a detail of moments."""
    return {"how": order.detail.get("how", "asked")}
