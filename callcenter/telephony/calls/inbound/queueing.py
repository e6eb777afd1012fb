"""Queueing: wait for a consultant, ring one after another, and connect the conversation."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum, auto
from typing import Any

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call, run_to_completion, while_connected
from callcenter.telephony.calls.conversation.commands import ConversationEnd, run_conversation
from callcenter.telephony.calls.conversation.participants import ConsultantParty
from callcenter.telephony.calls.inbound.queue_announcements import QueueChoice
from callcenter.telephony.calls.inbound.wait_announcements import announce_while_waiting
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import ConsultantPort, Leg, NotAnswered, QueuePlace
from callcenter.telephony.calls.urgency import (
    accept_urgent_keys,
    alert_supervisors_periodically,
    display_text,
    interrupt_if_urgent,
    may_extend_patience,
)

log = logging.getLogger(__name__)

Answered = tuple[ConsultantPort, Leg]


class QueueExit(Enum):
    """How queueing ended without a conversation, the caller being connected."""

    UNIFIED_CENTER = auto()  #: the caller chose 1414 instead of waiting
    CALLBACK = auto()  #: the caller chose a callback
    MESSAGE = auto()  #: the caller chose voicemail
    FAILED = auto()  #: the consultant was lost before the conversation
    NOBODY = auto()  #: patience ended without an answer


_EXITS = {
    QueueChoice.UNIFIED_CENTER: QueueExit.UNIFIED_CENTER,
    QueueChoice.CALLBACK: QueueExit.CALLBACK,
    QueueChoice.MESSAGE: QueueExit.MESSAGE,
}


async def queue_and_talk(call: Call) -> QueueExit | ConversationEnd:
    """Queue the call, ring fitting consultants one after another, and run the conversation.

    A caller who returns to the queue keeps the time of arrival, also in another language. Urgent
    calls, and callers whose last call we dropped, go first. An urgent caller stays while anybody
    is signed in, up to the set rounds of patience. The consultant of an open appeal is preferred,
    if free.
    """
    if call.waits_since is None:
        call.waits_since = await call.distributor.now()
    while True:
        _start_waiting(call)
        urgent = call.previous_call_dropped or bool(call.urgencies)
        async with AsyncExitStack() as consultant_side:
            place = await consultant_side.enter_async_context(
                _hold_place(call, call.waits_since, urgent)
            )
            search = _ring_until_answered(call, place, urgent, consultant_side)
            match await while_connected(call.leg, _wait_for_answer_or_choice(call, search)):
                case None if call.urgencies and not urgent:
                    continue
                case None:
                    return QueueExit.NOBODY
                case QueueChoice() as choice if choice in _EXITS:
                    return _EXITS[choice]
                case (consultant, leg):
                    return await _run_conversation(
                        call, ConsultantParty(consultant, leg, consultant_side)
                    )


@asynccontextmanager
async def _hold_place(call: Call, arrived: float, urgent: bool) -> AsyncIterator[QueuePlace]:
    """Use the place reserved for the call once; later enter the queue."""
    if call.reserved_place is None:
        language = call.consultant_language
        async with call.distributor.place(
            call.leg.id,
            language,
            arrived=arrived,
            urgent=urgent,
            preferred=call.preferred_consultant,
        ) as place:
            yield place
        return
    reserved, call.reserved_place = call.reserved_place, None
    try:
        yield reserved
    finally:
        try:
            await run_to_completion(reserved.release(unanswered=False))
        except OperationFailed as exc:  # without Redis the lease expires
            log.error("release of a lease failed: call %s: %s", call.leg.id, exc)


async def _run_conversation(call: Call, consultant: ConsultantParty) -> QueueExit | ConversationEnd:
    try:
        return await run_conversation(call, consultant)
    except NotAnswered as why:
        _record_unanswered(call, consultant.person, why)
        return QueueExit.FAILED


async def _wait_for_answer_or_choice(
    call: Call, searching: Coroutine[Any, Any, Answered | None]
) -> Answered | QueueChoice | None:
    """Return an answer or a choice, whichever is first; the answer if both are."""
    search = asyncio.create_task(searching)
    announcements = asyncio.create_task(announce_while_waiting(call))
    alert = asyncio.create_task(alert_supervisors_periodically(call))
    try:
        with accept_urgent_keys(call):
            await asyncio.wait((search, announcements), return_when=asyncio.FIRST_COMPLETED)
        if search.done():
            return search.result()
        choice = announcements.result()
        call.if_left = Outcome.LEFT_WAITING  # a consultant who is rung now is not rung on
        return choice
    finally:
        for task in (search, announcements, alert):
            task.cancel()
        await asyncio.gather(search, announcements, alert, return_exceptions=True)


async def _ring_until_answered(
    call: Call, place: QueuePlace, urgent: bool, consultant_side: AsyncExitStack
) -> Answered | None:
    """Ring until a consultant answers; returns the consultant and the leg.

    The leg lasts as long as `consultant_side`. None when nobody answered, or when the call became
    urgent and the place is not an `urgent` one.
    """
    call.restart_patience()
    while call.patience_ends > time.monotonic() or await may_extend_patience(call):
        ends = call.patience_ends
        offer = place.wait_for_offer(ends - time.monotonic())
        consultant = await (offer if urgent else interrupt_if_urgent(call, {}, offer))
        if consultant is None:
            if call.urgencies and not urgent:
                break
            if call.patience_ends == ends and not await may_extend_patience(call):
                break
            continue
        call.record.add_event(CallEvent.RINGING, consultant=consultant.extension)
        call.if_left = Outcome.LEFT_RINGING
        place.mark_ringing()
        try:
            leg = await consultant_side.enter_async_context(
                call.switch.ring(
                    consultant.extension, call.leg, display_text(call), call.times.ring_timeout
                )
            )
        except NotAnswered as why:
            _record_unanswered(call, consultant, why)
            await place.release(unanswered=True)
            _start_waiting(call)
        else:
            place.mark_answered()
            return consultant, leg
    return None


def _record_unanswered(call: Call, consultant: ConsultantPort, why: NotAnswered) -> None:
    call.record.add_event(CallEvent.UNANSWERED, consultant=consultant.extension, why=str(why))


def _start_waiting(call: Call) -> None:
    call.record.add_event(
        CallEvent.WAITING, **({"why": "lost_before"} if call.previous_call_dropped else {})
    )
    call.if_left = Outcome.LEFT_WAITING
