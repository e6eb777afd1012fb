"""A supervisor with a conversation under way: listens, whispers, joins, or takes it over.

The supervisor's own telephone is rung. Modes are changed without hanging up, and the two who talk
notice nothing of a supervisor who comes, listens and goes. One supervisor at a time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from callcenter.consultants.orders import SUPERVISE, Answer, Mode, Order, OrderRefused
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.line.call import while_there
from callcenter.line.conversation import Conversation
from callcenter.line.guests import Talker
from callcenter.line.outcomes import Moment
from callcenter.line.ports import Leg, LegGone, NotAnswered

log = logging.getLogger(__name__)

LOOK = 0.5  # seconds between two looks whether another consultant has the call


@asynccontextmanager
async def supervised(talk: Conversation) -> AsyncIterator[None]:
    """Within the block supervisors may be with the conversation; none is after it."""
    supervision = Supervision(talk)
    try:
        with talk.call.orders.taken_by(supervision.take):
            yield
    finally:  # no order is taken any more: one that came meanwhile would ring for nothing
        await supervision.end()


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Somebody of the center with a telephone (`callcenter.line.ports.Consultant`)."""

    id: UUID
    extension: str
    hears: frozenset[str] | None = None  #: extensions; None: everybody

    def may_hear(self, talker: Talker | None) -> bool:
        """Whether who has the call now is one whom this supervisor may hear."""
        return self.hears is None or talker is None or talker.name in self.hears


class Supervision:
    """The supervisor of one conversation, if there is one."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._call = talk.call
        self._mode = Mode.LEAVE
        self._by = ""
        self._changed = asyncio.Event()
        self._under_way: asyncio.Task[None] | None = None

    async def take(self, order: Order) -> Answer | None:
        """Begin, or change the mode; returns at once, while the supervisor's telephone rings.

        Raises OrderRefused when another supervisor is there already, or none is who could leave.
        """
        if order.what != SUPERVISE:
            return None
        mode = Mode(order.detail["mode"])
        is_there = self._under_way is not None and not self._under_way.done()
        if is_there and order.by != self._by:
            raise OrderRefused("another supervisor is with this conversation")
        if not is_there and mode is Mode.LEAVE:
            raise OrderRefused("you are not with this conversation")
        self._mode, self._by = mode, order.by
        self._changed.set()
        if not is_there:
            self._under_way = asyncio.create_task(self._supervise(_supervisor(order)))
        return {"mode": mode.value, "state": "changed" if is_there else "ringing"}

    async def end(self) -> None:
        """The conversation is over: return when the supervisor has been let go."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    async def _supervise(self, supervisor: Supervisor) -> None:
        """Whatever becomes of the supervisor, the conversation goes on."""
        call, extension = self._call, supervisor.extension
        ring = call.switch.ring(extension, call.leg, "SUPERVISION", call.times.ring_timeout)
        try:
            async with AsyncExitStack() as side:
                leg = await side.enter_async_context(ring)
                try:
                    await while_there(leg, self._through_modes(leg, supervisor))
                    allowed = supervisor.may_hear(self._talk.talker)
                    if self._mode is Mode.TAKE_OVER and allowed:
                        await self._take_over(Talker(supervisor, leg, side.pop_all()))
                finally:
                    call.record.moment(Moment.SUPERVISION_ENDED, supervisor=extension)
        except NotAnswered as why:
            call.record.moment(Moment.SUPERVISION_ENDED, supervisor=extension, why=str(why))
        except (LegGone, OrderRefused):
            return
        except WeFailed as exc:
            log.error("call %s: supervision ended: %s", call.leg.id, exc)
        except Exception:
            log.exception("call %s: our part failed at supervision", call.leg.id)

    async def _through_modes(self, leg: Leg, supervisor: Supervisor) -> None:
        """Until the supervisor leaves, or somebody has the call whom that one may not hear."""
        while (mode := self._mode) not in (Mode.LEAVE, Mode.TAKE_OVER):
            self._changed.clear()
            talker = self._talk.talker
            if not supervisor.may_hear(talker):
                return
            async with self._as(mode, leg):
                self._note(mode, supervisor.extension)
                while self._mode is mode and self._talk.talker in (talker, None):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK):
                            await self._changed.wait()
                    self._changed.clear()

    async def _take_over(self, taker: Talker) -> None:
        """From now on the supervisor is the consultant of this call, and hung up with it."""
        self._note(Mode.TAKE_OVER, taker.name)
        try:
            # Who is signed out is offered nobody in any case.
            with suppress(AskedWrongly, WeFailed):
                occupied = self._call.desk.occupied(self._call.next_place(), taker.name)
                (await taker.side.enter_async_context(occupied)).talked = True
            await self._talk.taken_over(taker)
        finally:
            if self._talk.talker is not taker:
                await asyncio.shield(taker.side.aclose())

    def _note(self, mode: Mode, extension: str) -> None:
        self._call.record.moment(
            Moment.SUPERVISED, mode=mode.value, by=self._by, supervisor=extension
        )

    def _as(self, mode: Mode, leg: Leg) -> AbstractAsyncContextManager[None]:
        if mode is Mode.JOIN:
            return self._talk.joined(leg)
        if self._talk.talker is None:  # who has the call has left it this moment
            raise NotAnswered("left")
        whispering = mode is Mode.WHISPER
        return self._call.switch.overheard(self._talk.talker.leg, leg, whispering=whispering)


def _supervisor(order: Order) -> Supervisor:
    hears = order.detail.get("hears")
    return Supervisor(
        UUID(order.detail["id"]),
        order.detail["extension"],
        None if hears is None else frozenset(hears.split()),
    )
