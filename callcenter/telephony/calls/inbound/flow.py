"""Inbound flow of a call to 111, from ringing to its outcome, in the order of the Rules.

A hangup is an exception at any step, caught in `with_outcome`: the outcome of the call is then
`call.if_left`, which each step sets beforehand.
"""

from collections.abc import Awaitable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from callcenter.telephony.calls.call import Call, has_vanished
from callcenter.telephony.calls.conversation.commands import ConversationEnd
from callcenter.telephony.calls.inbound.callback_request import request_callback
from callcenter.telephony.calls.inbound.menu import (
    MenuChoice,
    choose_language,
    main_menu,
    play_blocked_notice,
    play_recording_notice,
    use_default_language,
)
from callcenter.telephony.calls.inbound.queue_announcements import NOBODY_REACHED, QueueChoice
from callcenter.telephony.calls.inbound.queueing import QueueExit, queue_and_talk
from callcenter.telephony.calls.inbound.redirect_to_1414 import redirect_to_1414
from callcenter.telephony.calls.inbound.status_lookup import tell_status
from callcenter.telephony.calls.inbound.voicemail import record_voicemail
from callcenter.telephony.calls.inbound.wait_announcements import ask_choice
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.calls.ports import LegHungUp, LegLost
from callcenter.telephony.calls.survey import run_survey
from callcenter.telephony.calls.urgency import (
    DANGER_KEYS,
    URGENT_KEYS,
    interrupt_if_urgent,
    panic_code_enabled,
)

T = TypeVar("T")

NO_KEYS: Mapping[str, Urgency] = MappingProxyType({})
_NOTICES = {ConversationEnd.REDIRECT: "transfer_ecc", QueueExit.UNIFIED_CENTER: "nobody_free"}


async def inbound_call(call: Call) -> Outcome:
    """Serve one caller; returns the outcome and never hangs up on a silent caller.

    R1: answered at once. R2: in the language of choice. R15: 1414 with notice. R17: recorded,
    with notice. R25: exactly one outcome. Cancelling releases all that is held.
    """
    return await with_outcome(call, _answer_and_route(call))


async def with_outcome(call: Call, serving: Awaitable[Outcome]) -> Outcome:
    """Run `serving` to an outcome, also when the caller leaves; the panic code is enabled."""
    try:
        with panic_code_enabled(call):
            return await serving
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegHungUp:
        if await has_vanished(call.leg):
            return Outcome.LOST_TO_A_FAULT
        if call.leg.connection_lost:
            call.record.add_event(CallEvent.CALLER_LOST)
        return call.if_left


async def _answer_and_route(call: Call) -> Outcome:
    await call.leg.answer()
    call.record.add_event(CallEvent.ANSWERED)
    return await greet_and_route(call)


async def greet_and_route(call: Call) -> Outcome:
    """Serve an answered caller from the greeting to the outcome. Raises LegHungUp."""
    if call.blocked:
        await interrupt_if_urgent(call, DANGER_KEYS, play_blocked_notice(call))
        if not call.urgencies:
            return Outcome.BLOCKED
    choice = await interrupt_if_urgent(call, URGENT_KEYS, _play_opening(call))
    use_default_language(call)
    return await serve_choice(call, choice or MenuChoice.CONSULTANT)


async def _play_opening(call: Call) -> MenuChoice:
    if await choose_language(call):
        return await main_menu(call, typed=await play_recording_notice(call))
    await call.say("err_to_agent")
    return MenuChoice.CONSULTANT


async def serve_choice(call: Call, choice: MenuChoice) -> Outcome:
    """Serve a menu choice to the outcome. Raises LegHungUp."""
    if choice is MenuChoice.UNIFIED_CENTER and await _redirect_unless_urgent(call):
        return Outcome.REDIRECTED
    if choice is MenuChoice.STATUS and await _unless_urgent(call, tell_status(call)):
        return Outcome.INFORMED
    return await serve_until_outcome(call)


async def serve_until_outcome(call: Call) -> Outcome:
    """Queue and connect until the call has its outcome. Raises LegHungUp."""
    while True:
        outcome = await resolve_end(call, await queue_and_talk(call))
        if outcome is not None:
            return outcome


async def resolve_end(call: Call, end: QueueExit | ConversationEnd) -> Outcome | None:
    """Return the outcome after the end of a queueing or conversation; None: serve again."""
    match end:
        case ConversationEnd.TALKED | ConversationEnd.SURVEY:
            return await _play_farewell(call, asks=end is ConversationEnd.SURVEY)
        case ConversationEnd.REDIRECT | QueueExit.UNIFIED_CENTER:
            return (
                Outcome.REDIRECTED
                if await _redirect_unless_urgent(call, notice=_NOTICES[end])
                else None
            )
        case QueueExit.CALLBACK:
            requested = _unless_urgent(call, request_callback(call))
            return Outcome.CALLBACK if await requested else None
        case QueueExit.MESSAGE:
            recorded = _unless_urgent(call, record_voicemail(call))
            return Outcome.MESSAGE if await recorded else None
        case ConversationEnd.QUEUE:
            return None
        case QueueExit.FAILED | ConversationEnd.LOST:
            call.previous_call_dropped = call.previous_call_dropped or end is ConversationEnd.LOST
            await call.say("consultant_lost", until_key=False)
            return None
        case QueueExit.NOBODY:
            went = await _redirect_unless_urgent(
                call, notice="nobody_free", failure="transfer_failed"
            )
            if went is None:
                return None
            return Outcome.REDIRECTED if went else await _make_last_offer(call)


async def _play_farewell(call: Call, *, asks: bool) -> Outcome | None:
    """Survey and goodbye; None when the caller signals danger meanwhile."""
    was_urgent = bool(call.urgencies)
    call.consultant_hung_up = not asks
    if asks or call.times.survey_always:
        await run_survey(call)
    if was_urgent or not call.urgencies:
        await _unless_urgent(call, call.say("goodbye", until_key=False))
    return Outcome.TALKED if was_urgent or not call.urgencies else None


async def _make_last_offer(call: Call) -> Outcome | None:
    """Offer callback and voicemail when neither a consultant nor 1414 was reached.

    None when the caller signals an urgency only now: an urgent wait begins.
    """
    was_urgent = bool(call.urgencies)
    choice = await _unless_urgent(call, ask_choice(call, NOBODY_REACHED), URGENT_KEYS)
    if choice is QueueChoice.CALLBACK and await _unless_urgent(call, request_callback(call)):
        return Outcome.CALLBACK
    if choice is QueueChoice.MESSAGE and await _unless_urgent(call, record_voicemail(call)):
        return Outcome.MESSAGE
    if was_urgent or not call.urgencies:
        await _unless_urgent(call, call.say("nobody_reached", until_key=False), URGENT_KEYS)
    return Outcome.NOBODY_FREE if was_urgent or not call.urgencies else None


async def _unless_urgent(
    call: Call, work: Coroutine[Any, Any, T], keys: Mapping[str, Urgency] = NO_KEYS
) -> T | None:
    """Run `work`; None when the call becomes urgent meanwhile, by these keys or two stars.

    A call that is urgent already is not interrupted.
    """
    if call.urgencies:
        return await work
    return await interrupt_if_urgent(call, keys, work)


async def _redirect_unless_urgent(
    call: Call, *, notice: str = "transfer_ecc", failure: str = "transfer_failed_back"
) -> bool | None:
    """Redirect to 1414; None when the call became urgent before 1414 answered."""
    redirection = redirect_to_1414(call, notice=notice, failure=failure)
    return await _unless_urgent(call, redirection, URGENT_KEYS)
