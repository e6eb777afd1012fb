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
from callcenter.asterisk.estate import LeftCall
from callcenter.asterisk.names import CALLED, caller_of
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.controller.memory import CallMemory
from callcenter.controller.recovery import Recovery
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
        resume: Callable[[Resumed], Awaitable[None]],
    ) -> None:
        """`resume` begins to serve a call, and returns at once."""
        self._board = board
        self._desk = desk
        self._engine = engine
        self._recovery = recovery
        self._memory = memory
        self._resume = resume
        self._turn = asyncio.Lock()
        self._errands: set[asyncio.Task[None]] = set()

    async def take(self, life: str, in_order: bool) -> None:
        """Go on with all that this life had. Raises WeFailed; may be repeated."""
        async with self._turn:  # a channel may be named with two lives that ended
            living = {self._board.ari.application, *self._board.lives.roll.living}
            left = await estate.look(self._board.ari, life, living)
            calls = await estate.take(self._board, left)
        if calls or left.left:
            log.warning("%d calls of %s go on here", len(calls), life)
        for call in calls:
            where = await self._where(call.leg.id)
            if where is None and call.leg.id.startswith(CALLED):
                await self._end(call)
            else:
                found, places = await self._found(call, where, life)
                await self._resume(Resumed(call.leg, where, found, places, in_order))
        for bridge in left.orphaned:
            await self._recovery.conversation_over(caller_of(bridge))
        errand = asyncio.create_task(self._release_promises(life))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _where(self, leg: str) -> Whereabouts | None:
        return await self._memory.where(leg) or await self._recovery.where(leg)

    async def _end(self, call: LeftCall) -> None:
        """Nobody knows what it was about, and it is nobody who called us."""
        for each in {call.leg, *call.inside}:
            await self._board.let_go(each)
        if call.bridge:
            await self._board.destroy(call.bridge)

    async def _found(
        self, call: LeftCall, where: Whereabouts | None, life: str
    ) -> tuple[Found | None, tuple[str, ...]]:
        """The conversation as it was, everybody in it who does not belong there being let go."""
        others = [each for each in call.inside if each is not call.leg]
        talks = where is not None and where.stage in (Stage.TALKING, Stage.REDIRECTED)
        if call.bridge is None or where is None or not talks or not others:
            for each in others:
                await self._board.let_go(each)
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
                talker, places = await self._talker(each, where, life, call.leg.id)
            elif guest is None and (extension is None or extension == where.guest):
                guest = await self._guest(each, where, life, call.leg.id)
            else:  # a supervisor
                await self._board.let_go(each)
        room = self._board.found_room(call.bridge, call.leg, [*call.inside])
        is_aside = where.is_aside and call.leg not in call.inside
        recording = UUID(where.recording) if where.recording else None
        muted, proved = where.is_muted, where.is_proved
        return Found(room, talker, guest, is_aside, muted, recording, proved), places

    async def _talker(
        self, leg: Channel, where: Whereabouts, life: str, call_id: str
    ) -> tuple[Talker, tuple[str, ...]]:
        known = self._desk.known(where.consultant)
        consultant = known or _Who(UUID(where.consultant_id), where.consultant)
        side = AsyncExitStack()
        places: tuple[str, ...] = ()
        if known is not None:
            place = await side.enter_async_context(self._desk.adopted(known, life, call_id))
            places = (place.call_id,)
        side.push_async_callback(self._board.let_go, leg)
        return Talker(consultant, leg, side), places

    async def _guest(self, leg: Channel, where: Whereabouts, life: str, call_id: str) -> Guest:
        known = self._desk.known(where.guest)
        side = AsyncExitStack()
        if known is None:
            side.push_async_callback(self._board.let_go, leg)
            return Outsider(where.guest, leg, side)
        await side.enter_async_context(self._desk.adopted(known, life, f"{call_id}+guest"))
        side.push_async_callback(self._board.let_go, leg)
        return Talker(known, leg, side)

    async def _release_promises(self, life: str) -> None:
        """What it took care of is anybody's at once; else it would be in ten seconds."""
        try:
            async with unit_of_work(self._engine) as connection:
                await promises.release(connection, life)
        except (SQLAlchemyError, OSError) as exc:
            log.error("promises of %s wait: %s", life, type(exc).__name__)
