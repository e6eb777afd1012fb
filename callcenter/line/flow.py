"""A call to 111, from ringing to its one outcome, in the order of the Rules.

Hang-up is an exception at whatever the caller was doing, caught in `to_its_outcome`: what becomes
of the call then was written down beforehand, as `call.if_left`.
"""

from collections.abc import Awaitable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from callcenter.line.announce import NOBODY_REACHED, Choice
from callcenter.line.call import Call
from callcenter.line.company import asked
from callcenter.line.menu import (
    Wish,
    choose_language,
    give_notice,
    main_menu,
    settle_by_default,
    turn_away,
)
from callcenter.line.message import message_left
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.ports import LegGone, LegLost
from callcenter.line.promise import callback_promised
from callcenter.line.redirect import redirected
from callcenter.line.status import status_told
from callcenter.line.survey import surveyed
from callcenter.line.talk import Parting
from callcenter.line.urgency import (
    DANGER_KEYS,
    URGENT_KEYS,
    danger_at_any_time,
    unless_urgent,
)
from callcenter.line.waiting import End, consultation

T = TypeVar("T")

NO_KEYS: Mapping[str, Urgency] = MappingProxyType({})
_NOTICES = {Parting.REDIRECT: "transfer_ecc", End.UNIFIED_CENTER: "nobody_free"}


async def inbound_call(call: Call) -> Outcome:
    """Serve one caller; returns the outcome and never hangs up on a silent caller.

    R1: answered at once. R2: in the language of choice. R15: 1414 with notice. R17: recorded,
    with notice. R25: exactly one outcome. Cancelling gives back all that was taken.
    """
    return await to_its_outcome(call, _answered(call))


async def to_its_outcome(call: Call, serving: Awaitable[Outcome]) -> Outcome:
    """What becomes of a call, also when the caller leaves. Two stars tell of danger meanwhile."""
    try:
        with danger_at_any_time(call):
            return await serving
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegGone:
        if call.leg.died:
            call.record.moment(Moment.CALLER_LOST)
        return call.if_left


async def _answered(call: Call) -> Outcome:
    await call.leg.answer()
    call.record.moment(Moment.ANSWERED)
    return await opened(call)


async def opened(call: Call) -> Outcome:
    """From the greeting to the one outcome, the caller having been answered. Raises LegGone."""
    if call.blocked:
        await unless_urgent(call, DANGER_KEYS, turn_away(call))
        if not call.urgencies:
            return Outcome.BLOCKED
    wish = await unless_urgent(call, URGENT_KEYS, _opening(call))
    settle_by_default(call)
    return await fulfilled(call, wish or Wish.CONSULTANT)


async def _opening(call: Call) -> Wish:
    if await choose_language(call):
        return await main_menu(call, typed=await give_notice(call))
    await call.say("err_to_agent")
    return Wish.CONSULTANT


async def fulfilled(call: Call, wish: Wish) -> Outcome:
    """From what the caller wants to the one outcome. Raises LegGone."""
    if wish is Wish.UNIFIED_CENTER and await _redirected(call):
        return Outcome.REDIRECTED
    if wish is Wish.STATUS and await _unless_in_need(call, status_told(call)):
        return Outcome.INFORMED
    return await served(call)


async def served(call: Call) -> Outcome:
    """From "I want a consultant" to the one outcome, the caller being there. Raises LegGone."""
    while True:
        outcome = await after(call, await consultation(call))
        if outcome is not None:
            return outcome


async def after(call: Call, end: End | Parting) -> Outcome | None:
    """What became of the call when a consultation ended so; None: the caller is served again."""
    match end:
        case Parting.TALKED | Parting.SURVEY:
            return await _bidden_farewell(call, asks=end is Parting.SURVEY)
        case Parting.REDIRECT | End.UNIFIED_CENTER:
            return Outcome.REDIRECTED if await _redirected(call, notice=_NOTICES[end]) else None
        case End.CALLBACK:
            promised = _unless_in_need(call, callback_promised(call))
            return Outcome.CALLBACK if await promised else None
        case End.MESSAGE:
            left = _unless_in_need(call, message_left(call))
            return Outcome.MESSAGE if await left else None
        case Parting.QUEUE:
            return None
        case End.FAILED | Parting.LOST:
            call.lost_before = call.lost_before or end is Parting.LOST
            await call.say("consultant_lost", until_key=False)
            return None
        case End.NOBODY:
            went = await _redirected(call, notice="nobody_free", failure="transfer_failed")
            if went is None:
                return None
            return Outcome.REDIRECTED if went else await _last_offer(call)


async def _bidden_farewell(call: Call, *, asks: bool) -> Outcome | None:
    """None when the caller told of danger instead of a mark, or at the very end."""
    was_urgent = bool(call.urgencies)
    call.hung_up = not asks
    if asks or call.times.survey_always:
        await surveyed(call)
    if was_urgent or not call.urgencies:
        await _unless_in_need(call, call.say("goodbye", until_key=False))
    return Outcome.TALKED if was_urgent or not call.urgencies else None


async def _last_offer(call: Call) -> Outcome | None:
    """Neither a consultant nor 1414 was reached: no wait goes on for ever.

    None when the caller tells only now of being unable to speak, or in danger: that is another
    wait, an urgent one.
    """
    was_urgent = bool(call.urgencies)
    choice = await _unless_in_need(call, asked(call, NOBODY_REACHED), URGENT_KEYS)
    if choice is Choice.CALLBACK and await _unless_in_need(call, callback_promised(call)):
        return Outcome.CALLBACK
    if choice is Choice.MESSAGE and await _unless_in_need(call, message_left(call)):
        return Outcome.MESSAGE
    if was_urgent or not call.urgencies:
        await _unless_in_need(call, call.say("nobody_reached", until_key=False), URGENT_KEYS)
    return Outcome.NOBODY_FREE if was_urgent or not call.urgencies else None


async def _unless_in_need(
    call: Call, work: Coroutine[Any, Any, T], keys: Mapping[str, Urgency] = NO_KEYS
) -> T | None:
    """As `work`; None when the caller tells of need meanwhile, by these keys or two stars.

    Who has told so before is not kept from anything by it.
    """
    if call.urgencies:
        return await work
    return await unless_urgent(call, keys, work)


async def _redirected(
    call: Call, *, notice: str = "transfer_ecc", failure: str = "transfer_failed_back"
) -> bool | None:
    """As `redirected`; None when the caller told of need before 1414 answered."""
    redirection = redirected(call, notice=notice, failure=failure)
    return await _unless_in_need(call, redirection, URGENT_KEYS)
