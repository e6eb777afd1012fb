"""Going on with the calls of a controller that is no more: see `callcenter.asterisk.lives`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.asterisk import estate
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.estate import Estate, LeftCall
from callcenter.asterisk.names import CALLED, caller_of
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.controller.memory import CallMemory
from callcenter.controller.recovery import Recovery
from callcenter.errands import Errands
from callcenter.errors import WeFailed
from callcenter.line.codes import extension_of
from callcenter.line.guests import Guest, Outsider, Talker
from callcenter.line.happenings import Found
from callcenter.line.whereabouts import Stage, Whereabouts
from callcenter.promises import store as promises
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A call to go on with; `places` are the ids by which the desk may know it besides its leg's.

    `where` is None for a call of which nobody knows anything: it begins anew.
    """

    leg: Channel
    where: Whereabouts | None
    found: Found | None
    places: tuple[str, ...]
    in_order: bool


@dataclass(frozen=True, slots=True)
class _Who:
    id: UUID
    extension: str


class Takeover:
    """One controller's way of going on with what others leave."""

    def __init__(
        self,
        board: Switchboard,
        desk: Desk,
        engine: AsyncEngine,
        recovery: Recovery,
        memory: CallMemory,
        resume: Callable[[Resumed], None],
        turn_away: Callable[[Channel], Awaitable[None]],
    ) -> None:
        """`resume` begins to serve a call, and returns at once.

        `turn_away` tells a consultant that what was asked for is not possible now, and hangs up.
        """
        self._board = board
        self._channels = board.channels
        self._desk = desk
        self._engine = engine
        self._recovery = recovery
        self._memory = memory
        self._resume = resume
        self._turn_away = turn_away
        self._turn = asyncio.Lock()
        self._errands = Errands()
        #: By the life, channels of calls that could not be taken over whole yet.
        self._half: dict[str, frozenset[str]] = {}

    async def take(self, life: str, in_order: bool) -> None:
        """Go on with all that this life had. Raises WeFailed; is to be repeated then.

        What one call meets is no matter of the others: 100 wait for a server that hangs as long as
        one does.
        """
        async with self._turn:  # a channel may be named with two lives that ended
            half = self._half.get(life, frozenset())
            left = await estate.look(self._channels.ari, life, self._living(), half)
            for each in half - left.left:  # hung up meanwhile
                self._channels.forget(self._channels.keep(each))
            taken = await estate.take(self._channels, left)
            self._half |= {life: taken.half}
        if taken.calls or left.left:
            log.warning("%d calls of %s go on here", len(taken.calls), life)
        await asyncio.gather(*(self._go_on(call, life, in_order) for call in taken.calls))
        for each in left.in_vain:
            self._errands.begin(self._tell_in_vain(left, each))
        for bridge in left.orphaned:
            await self._recovery.conversation_over(caller_of(bridge))
        if half := self._half[life]:
            raise WeFailed(f"{len(half)} channels could not be taken over whole")
        del self._half[life]
        self._errands.begin(self._release_promises(life))
        if in_order:
            self._errands.begin(self._recovery.left_meanwhile(self._memory.where))
        else:
            self._recovery.have_checked()

    def _living(self) -> set[str]:
        return {self._channels.ari.application, *self._channels.lives.roll.living}

    async def _go_on(self, call: LeftCall, life: str, in_order: bool) -> None:
        try:
            where = await self._where(call.leg.id)
            if where is None and call.leg.id.startswith(CALLED):
                await self._end(call)
            else:
                found, places = await self._found(call, where)
                self._resume(Resumed(call.leg, where, found, places, in_order))
        except Exception:
            log.exception("call %s does not go on here yet", call.leg.id)
            self._half[life] |= {each.id for each in (call.leg, *call.inside)}

    async def _tell_in_vain(self, left: Estate, leg: str) -> None:
        try:
            await self._turn_away(await estate.take_leg(self._channels, left, leg))
        except WeFailed as exc:  # it is a stray, and ends
            log.error("consultant's channel %s is not told that its call failed: %s", leg, exc)

    async def _where(self, leg: str) -> Whereabouts | None:
        return await self._memory.where(leg) or await self._recovery.where(leg)

    async def _end(self, call: LeftCall) -> None:
        """Nobody knows what it was about, and it is nobody who called us."""
        for each in {call.leg, *call.inside}:
            await self._channels.let_go(each)
        if call.bridge:
            await self._channels.destroy(call.bridge)

    async def _found(
        self, call: LeftCall, where: Whereabouts | None
    ) -> tuple[Found | None, tuple[str, ...]]:
        """The conversation as it was, everybody in it who does not belong there being let go."""
        others = [each for each in call.inside if each is not call.leg]
        talks = where is not None and where.stage in (Stage.TALKING, Stage.REDIRECTED)
        if call.bridge is None or where is None or not talks or not others:
            for each in others:
                await self._channels.let_go(each)
            if call.bridge:
                inside = [each for each in call.inside if each is call.leg]
                async with self._board.found_room(call.bridge, call.leg, inside):
                    pass  # the caller leaves it before it ends, and hears what comes next
            return None, ()
        talker: Talker | None = None
        guest: Guest | None = None
        places: tuple[str, ...] = ()
        for each in others:
            extension = extension_of(each.name)
            if where.consultant and extension == where.consultant:
                talker, places = await self._talker(each, where, call.leg.id)
            elif guest is None and (extension is None or extension == where.guest):
                guest = await self._guest(each, where, call.leg.id)
            else:  # a supervisor
                await self._channels.let_go(each)
        room = self._board.found_room(call.bridge, call.leg, [*call.inside])
        is_aside = where.is_aside and call.leg not in call.inside
        recording = UUID(where.recording) if where.recording else None
        muted, proved = where.is_muted, where.is_proved
        return Found(room, talker, guest, is_aside, muted, recording, proved), places

    async def _talker(
        self, leg: Channel, where: Whereabouts, call_id: str
    ) -> tuple[Talker, tuple[str, ...]]:
        known = self._desk.known(where.consultant)
        consultant = known or _Who(UUID(where.consultant_id), where.consultant)
        side = AsyncExitStack()
        places: tuple[str, ...] = ()
        if known is not None:
            place = await side.enter_async_context(
                self._desk.adopted(known, self._living(), call_id)
            )
            places = (place.call_id,)
        side.push_async_callback(self._channels.let_go, leg)
        return Talker(consultant, leg, side), places

    async def _guest(self, leg: Channel, where: Whereabouts, call_id: str) -> Guest:
        known = self._desk.known(where.guest)
        side = AsyncExitStack()
        if known is None:
            side.push_async_callback(self._channels.let_go, leg)
            return Outsider(where.guest, leg, side)
        await side.enter_async_context(
            self._desk.adopted(known, self._living(), f"{call_id}+guest")
        )
        side.push_async_callback(self._channels.let_go, leg)
        return Talker(known, leg, side)

    async def _release_promises(self, life: str) -> None:
        """What it took care of is anybody's at once; else it would be in ten seconds."""
        try:
            async with unit_of_work(self._engine) as connection:
                await promises.release(connection, life)
        except (SQLAlchemyError, OSError) as exc:
            log.error("promises of %s wait: %s", life, type(exc).__name__)
