"""Caller and consultant hear each other, and the conversation is recorded (R17).

What the consultant asks for, by a code (`talk_keys.py`), the softphone's hold button or the pages,
is done in the order in which it was asked.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from callcenter.consultants.orders import Order, OrderRefused
from callcenter.line.call import Call, while_there
from callcenter.line.conversation import OVER, Asked, Conversation, Left, Talker, conversation
from callcenter.line.outcomes import Moment
from callcenter.line.supervision import supervised
from callcenter.line.urgency import keys_of_a_conversation


class Parting(Enum):
    """How a conversation ended, the caller still being there."""

    TALKED = auto()  #: the consultant hung up
    REDIRECT = auto()  #: the consultant asked for 1414
    SURVEY = auto()  #: the consultant left the caller to the question how good it was
    LOST = auto()  #: the consultant's telephone died, or left a caller who was told to wait


async def talked(call: Call, talker: Talker) -> Parting:
    """The conversation, from both being connected to the consultant's leaving.

    Raises LegGone when the caller left, NotAnswered when the consultant was gone before the two
    heard each other.
    """
    async with (
        conversation(call, talker, _CARRIED_OUT) as talk,
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
            case Left(who):
                parting = _talker_left(talk, who)
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
    finally:
        asked.refuse(OVER)


def _talker_left(talk: Conversation, talker: Talker) -> Parting:
    if talker.leg.died or talk.is_aside:
        talk.call.record.moment(Moment.CONSULTANT_LOST, consultant=talker.name)
        return Parting.LOST
    return Parting.TALKED


# What a consultant may ask for


async def _hold(talk: Conversation, order: Order) -> None:
    await talk.set_aside(**_how(order))


async def _resume(talk: Conversation, order: Order) -> None:
    await talk.bring_back(**_how(order))


async def _hold_or_resume(talk: Conversation, order: Order) -> None:
    await (_resume if talk.is_aside else _hold)(talk, order)


async def _mute(talk: Conversation, order: Order) -> None:
    await talk.mute(True, **_how(order))


async def _unmute(talk: Conversation, order: Order) -> None:
    await talk.mute(False, **_how(order))


async def _mute_or_unmute(talk: Conversation, order: Order) -> None:
    await (_unmute if talk.is_muted else _mute)(talk, order)


async def _redirect(_talk: Conversation, _order: Order) -> Parting:
    return Parting.REDIRECT


async def _survey(talk: Conversation, _order: Order) -> Parting:
    if talk.call.urgencies:
        raise OrderRefused("who is in need is not asked for a mark")
    return Parting.SURVEY


async def _nothing(_talk: Conversation, _order: Order) -> None:
    """How things stand is answered to every order."""


_CARRIED_OUT: Mapping[str, Callable[[Conversation, Order], Awaitable[Parting | None]]] = {
    "status": _nothing,
    "hold": _hold,
    "resume": _resume,
    "hold_or_resume": _hold_or_resume,
    "mute": _mute,
    "unmute": _unmute,
    "mute_or_unmute": _mute_or_unmute,
    "redirect": _redirect,
    "survey": _survey,
}


def _how(order: Order) -> dict[str, str]:
    """How it was asked for, as a detail of moments."""
    return {"how": order.detail.get("how", "asked")}
