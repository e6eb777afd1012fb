"""From "I want a consultant" to a consultant's voice: the queue, and ringing one after another."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum, auto

from callcenter.line.call import Call, while_there
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Consultant, Leg, NotAnswered, Place
from callcenter.line.talk import talked_until_redirect

REMINDER = 45.0  # seconds of music between two assurances that the caller is not forgotten


class End(Enum):
    """How a consultation ended, the caller still being there."""

    TALKED = auto()  #: the consultant hung up
    REDIRECT = auto()  #: the consultant asked for 1414
    FAILED = auto()  #: the consultant was lost before the two heard each other
    NOBODY = auto()  #: patience ended before anybody answered


async def consultation(call: Call) -> End:
    """Wait, ring free consultants who speak the language one after another, and talk."""
    _wait(call)
    async with (
        call.desk.place(call.leg.id, call.language) as place,
        AsyncExitStack() as consultant_side,
    ):
        async with company(call):
            answered = await while_there(call.leg, _first_to_answer(call, place, consultant_side))
        if answered is None:
            return End.NOBODY
        try:
            redirect = await talked_until_redirect(call, *answered)
        except NotAnswered as why:
            _not_answered(call, answered[0], why)
            return End.FAILED
        return End.REDIRECT if redirect else End.TALKED


async def _first_to_answer(
    call: Call, place: Place, consultant_side: AsyncExitStack
) -> tuple[Consultant, Leg] | None:
    """The consultant who answered, with the leg, which lives as long as `consultant_side`."""
    patience_ends = time.monotonic() + call.times.patience
    while (left := patience_ends - time.monotonic()) > 0:
        consultant = await place.offer(left)
        if consultant is None:
            break
        call.record.moment(Moment.RINGING, consultant=consultant.extension)
        call.if_left = Outcome.LEFT_RINGING
        try:
            leg = await consultant_side.enter_async_context(
                call.switch.ring(
                    consultant.extension, call.leg, call.language, call.times.ring_timeout
                )
            )
        except NotAnswered as why:
            _not_answered(call, consultant, why)
            await place.give_back(unanswered=True)
            _wait(call)
        else:
            return consultant, leg
    return None


def _not_answered(call: Call, consultant: Consultant, why: NotAnswered) -> None:
    call.record.moment(Moment.UNANSWERED, consultant=consultant.extension, why=str(why))


def _wait(call: Call) -> None:
    call.record.moment(Moment.WAITING)
    call.if_left = Outcome.LEFT_WAITING


@asynccontextmanager
async def company(call: Call) -> AsyncIterator[None]:
    """Words and music for a caller who waits, for as long as the block lasts; never silence."""
    task = asyncio.create_task(_keep_company(call))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_company(call: Call) -> None:
    await call.say("connecting", until_key=False)
    if not call.notice_heard:
        await call.say("recording_notice", until_key=False)
        call.notice_heard = True
        call.record.moment(Moment.NOTICE, whole=True)
    while True:
        if call.if_left is Outcome.LEFT_WAITING:
            await call.say("queue_hold", until_key=False)
        async with call.leg.music():
            await asyncio.sleep(REMINDER)
