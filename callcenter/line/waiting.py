"""From "I want a consultant" to a consultant's voice: the queue, and ringing one after another."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum, auto
from typing import Any

from callcenter.errors import WeFailed
from callcenter.line.announce import Choice
from callcenter.line.call import Call, to_the_end, while_there
from callcenter.line.company import kept_company
from callcenter.line.guests import Talker
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Consultant, Leg, NotAnswered, Place
from callcenter.line.talk import Parting, talked
from callcenter.line.urgency import alarmed, shown, unless_urgent, urgent_by_key, waits_longer

log = logging.getLogger(__name__)

Answered = tuple[Consultant, Leg]


class End(Enum):
    """How a consultation ended without a conversation, the caller still being there."""

    UNIFIED_CENTER = auto()  #: the caller chose 1414 instead of waiting
    CALLBACK = auto()  #: the caller would rather be called back
    MESSAGE = auto()  #: the caller would rather leave a message
    FAILED = auto()  #: the consultant was lost before the two heard each other
    NOBODY = auto()  #: patience ended before anybody answered


_ENDS = {
    Choice.UNIFIED_CENTER: End.UNIFIED_CENTER,
    Choice.CALLBACK: End.CALLBACK,
    Choice.MESSAGE: End.MESSAGE,
}


async def consultation(call: Call) -> End | Parting:
    """Wait, ring free consultants who speak the language one after another, and talk.

    A caller who comes back keeps the place, and so does one who agrees to another language; one
    whose last call was lost by our fault goes before others, and so does one who tells of danger.
    An urgent caller stays while anybody is signed in, up to the set rounds of patience.
    Who rings back about an open appeal is given to whoever had it, if that consultant is free now.
    """
    if call.waits_since is None:
        call.waits_since = await call.desk.now()
    while True:
        _wait(call)
        urgent = call.lost_before or bool(call.urgencies)
        async with AsyncExitStack() as consultant_side:
            place = await consultant_side.enter_async_context(
                _place(call, call.waits_since, urgent)
            )
            search = _first_to_answer(call, place, urgent, consultant_side)
            match await while_there(call.leg, _answered_or_chosen(call, search)):
                case None if call.urgencies and not urgent:
                    continue
                case None:
                    return End.NOBODY
                case Choice() as choice if choice in _ENDS:
                    return _ENDS[choice]
                case (consultant, leg):
                    return await _talk(call, Talker(consultant, leg, consultant_side))


@asynccontextmanager
async def _place(call: Call, arrived: float, urgent: bool) -> AsyncIterator[Place]:
    """The place that the call holds already, once; else one of its own."""
    if call.held is None:
        wanted = call.wanted_language
        async with call.desk.place(
            call.leg.id, wanted, arrived=arrived, urgent=urgent, preferred=call.had_by
        ) as place:
            yield place
        return
    held, call.held = call.held, None
    try:
        yield held
    finally:
        try:
            await to_the_end(held.give_back(unanswered=False))
        except WeFailed as exc:  # without the desk the lease ends by itself
            log.error("call %s: %s", call.leg.id, exc)


async def _talk(call: Call, talker: Talker) -> End | Parting:
    try:
        return await talked(call, talker)
    except NotAnswered as why:
        _not_answered(call, talker.consultant, why)
        return End.FAILED


async def _answered_or_chosen(
    call: Call, searching: Coroutine[Any, Any, Answered | None]
) -> Answered | Choice | None:
    """Whatever comes first; an answer that comes together with a choice is taken."""
    search = asyncio.create_task(searching)
    company = asyncio.create_task(kept_company(call))
    alarm = asyncio.create_task(alarmed(call))
    try:
        with urgent_by_key(call):
            await asyncio.wait((search, company), return_when=asyncio.FIRST_COMPLETED)
        if search.done():
            return search.result()
        choice = company.result()
        call.if_left = Outcome.LEFT_WAITING  # who is being rung now is not any more
        return choice
    finally:
        for task in (search, company, alarm):
            task.cancel()
        await asyncio.gather(search, company, alarm, return_exceptions=True)


async def _first_to_answer(
    call: Call, place: Place, urgent: bool, consultant_side: AsyncExitStack
) -> Answered | None:
    """The consultant who answered, with the leg, which lives as long as `consultant_side`.

    None when nobody did, or when the call became urgent and the place is not an `urgent` one.
    """
    call.waits_on()
    while call.patience_ends > time.monotonic() or await waits_longer(call):
        ends = call.patience_ends
        offer = place.offer(ends - time.monotonic())
        consultant = await (offer if urgent else unless_urgent(call, {}, offer))
        if consultant is None:
            if call.urgencies and not urgent:
                break
            if call.patience_ends == ends and not await waits_longer(call):
                break
            continue
        call.record.moment(Moment.RINGING, consultant=consultant.extension)
        call.if_left = Outcome.LEFT_RINGING
        place.rings()
        try:
            leg = await consultant_side.enter_async_context(
                call.switch.ring(
                    consultant.extension, call.leg, shown(call), call.times.ring_timeout
                )
            )
        except NotAnswered as why:
            _not_answered(call, consultant, why)
            await place.give_back(unanswered=True)
            _wait(call)
        else:
            place.answered()
            return consultant, leg
    return None


def _not_answered(call: Call, consultant: Consultant, why: NotAnswered) -> None:
    call.record.moment(Moment.UNANSWERED, consultant=consultant.extension, why=str(why))


def _wait(call: Call) -> None:
    call.record.moment(Moment.WAITING, **({"why": "lost_before"} if call.lost_before else {}))
    call.if_left = Outcome.LEFT_WAITING
