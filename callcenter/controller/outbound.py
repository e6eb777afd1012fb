"""Calls of consultants to numbers: dialled on the softphone, or asked for from the pages."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants import store as consultants
from callcenter.consultants.desk import Desk
from callcenter.consultants.desk import Occupation as DeskOccupation
from callcenter.consultants.orders import Answer, Order
from callcenter.controller.under_way import UnderWay
from callcenter.dialling.beginning import (
    AskedNotToBeCalled,
    Begun,
    TooOften,
    Wanted,
    begin,
    begin_unwritten,
)
from callcenter.dialling.numbers import EMERGENCY, NumberPolicy, NumberRefused
from callcenter.errors import CallcenterError, WeFailed
from callcenter.line.call import Call
from callcenter.line.codes import LANGUAGES, extension_of
from callcenter.line.entries import OutgoingBegan
from callcenter.line.journal import Journal
from callcenter.line.outbound import Occupation, Outgoing, outgoing_call
from callcenter.line.outcomes import Outcome
from callcenter.line.ports import Leg, LegGone, Sounds
from callcenter.line.records import OutgoingRecord
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

WRITTEN_WITHIN = 2.0  # seconds that a call to 112 waits for the database, which writes it later

#: What a consultant hears who calls in vain; of all else: not possible now.
_REFUSALS: Mapping[type[CallcenterError], str] = {
    NumberRefused: "call_refused",
    TooOften: "call_too_often",
    AskedNotToBeCalled: "call_unwanted",
}

Conversation = Callable[[Leg, OutgoingRecord, Begun], Call]


def refusal_prompt(why: CallcenterError) -> str:
    """What a consultant hears of a call that may not be made."""
    return _REFUSALS.get(type(why), "duty_refused")


@dataclass(frozen=True, slots=True)
class _Who:
    """The consultant who calls."""

    id: UUID
    extension: str


class CallsOut:
    """One controller's part in it. What it cannot do changes nothing, and is said.

    Emergency services are called also when neither the desk nor the database answers.
    """

    def __init__(
        self,
        settings: Settings,
        numbers: NumberPolicy,
        desk: Desk,
        engine: AsyncEngine,
        journal: Journal,
        switchboard: Switchboard,
        sounds: Sounds,
        conversation: Conversation,
        under_way: UnderWay,
    ) -> None:
        """`conversation` makes the call of a called leg."""
        self._settings = settings
        self._policy = numbers
        self._desk = desk
        self._engine = engine
        self._journal = journal
        self._switchboard = switchboard
        self._sounds = sounds
        self._conversation = conversation
        self._under_way = under_way

    async def dialled(self, channel: Channel) -> None:
        """Call what a consultant dialled; whatever happens, nothing is left in the switch."""
        extension = extension_of(channel.name)
        try:
            if extension is None:
                log.error("channel %s is no consultant's", channel.id)
                return
            wanted = Wanted(self._policy.check(channel.dialled))
            if wanted.number not in EMERGENCY:
                # AMI tells this too, but perhaps later: no call must come in between.
                await self._desk.tell_devices({extension: "INUSE"}, channel.began_at)
            await self._call(extension, wanted, "dialled", channel.id, _answered(channel))
        except LegGone:
            return
        except CallcenterError as exc:
            log.warning("a call of consultant %s refused: %s", extension, exc)
            await self._tell_refused(channel, exc)
        finally:
            await self._switchboard.channels.let_go(channel)

    async def turn_away(self, channel: Channel) -> None:
        """Tell a consultant whose call was lost with its controller, and hang up."""
        try:
            await self._tell_refused(channel, WeFailed())
        finally:
            await self._switchboard.channels.let_go(channel)

    async def asked(self, order: Order, begun: "asyncio.Future[Answer]") -> None:
        """Ring the consultant, then the number; `begun` is answered before the telephone rings.

        Its exception says why there is no call.
        """
        extension = order.detail["extension"]
        wanted = Wanted(
            order.detail.get("number"),
            order.detail.get("appeal"),
            despite_wish="despite_wish" in order.detail,
        )
        ring = self._switchboard.ring(extension, None, "CALL", self._settings.ring_timeout)
        try:
            await self._call(extension, wanted, "asked", f"outgoing-{uuid4()}", ring, begun)
        except CallcenterError as exc:
            if not begun.done():
                begun.set_exception(exc)
        finally:
            begun.cancel()  # nothing happens to one that is answered

    async def _call(
        self,
        extension: str,
        wanted: Wanted,
        how: str,
        leg_id: str,
        own: AbstractAsyncContextManager[Leg],
        begun: "asyncio.Future[Answer] | None" = None,
    ) -> None:
        call_id = f"outgoing-{uuid4()}"
        async with AsyncExitStack() as side:
            occupation = await self._occupied(side, call_id, extension, wanted)
            consultant, start = await self._begin(extension, wanted, leg_id)
            record = self._journal.outgoing(
                start.call.id, start.call.appeal_id, start.call.first_moment
            )
            if begun is not None:
                if begun.done():  # too late: who asked was told that it failed, and may ask again
                    record.closed(Outcome.LOST_TO_A_FAULT)
                    return
                begun.set_result({"call": str(start.call.id), "appeal": start.appeal})

            def conversation(leg: Leg) -> Call:
                call = self._conversation(leg, record, start)
                self._under_way.begin(call, call_id)
                return call

            out = Outgoing(
                consultant=consultant,
                number=start.call.number,
                shown=self._settings.shown_number,
                how=how,
                language=start.language,
                record=record,
                occupation=occupation,
                side=side,
                switch=self._switchboard,
                sounds=self._sounds,
                ring_timeout=self._settings.called_ring_timeout,
                conversation=conversation,
            )
            await self._to_outcome(out, own, record)

    async def _to_outcome(
        self, out: Outgoing, own: AbstractAsyncContextManager[Leg], record: OutgoingRecord
    ) -> None:
        """Whatever happens to the call, it has one outcome."""
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            outcome = await outgoing_call(out, own)
        except WeFailed as exc:
            log.error("a call of consultant %s failed: %s", out.consultant.extension, exc)
        finally:
            self._under_way.end(record)
            record.closed(outcome)

    async def _occupied(
        self, side: AsyncExitStack, call_id: str, extension: str, wanted: Wanted
    ) -> Occupation:
        try:
            return await side.enter_async_context(self._desk.occupied(call_id, extension))
        except CallcenterError as exc:
            if wanted.number not in EMERGENCY:
                raise
            log.error("consultant %s calls for help without the desk: %s", extension, exc)
            return DeskOccupation()

    async def _begin(self, extension: str, wanted: Wanted, leg_id: str) -> tuple[_Who, Begun]:
        if wanted.number is None or wanted.number not in EMERGENCY:
            return await self._written(extension, wanted, leg_id)
        # A database that hangs may hold up the end of this too, so that is not waited for.
        writing = asyncio.create_task(self._written(extension, wanted, leg_id))
        writing.add_done_callback(_not_awaited)
        try:
            done, _ = await asyncio.wait((writing,), timeout=WRITTEN_WITHIN)
            if done:
                return writing.result()
        except WeFailed as exc:
            log.error("consultant %s calls for help unwritten yet: %s", extension, exc)
        finally:
            writing.cancel()
        return self._unwritten(extension, wanted.number, leg_id)

    def _unwritten(self, extension: str, number: str, leg_id: str) -> tuple[_Who, Begun]:
        """The journal has the database told, by the time this call may be over."""
        known = self._desk.known(extension)
        if known is None:
            raise WeFailed(f"nobody can tell who consultant {extension} is")
        number = self._policy.check(number)
        begun = begin_unwritten(number, consultant_id=known.id, call_id=leg_id)
        call = begun.call
        self._journal.put(
            OutgoingBegan(call.appeal_id, call.id, leg_id, number, known.id, call.began_at)
        )
        return _Who(known.id, extension), begun

    async def _written(self, extension: str, wanted: Wanted, leg_id: str) -> tuple[_Who, Begun]:
        try:
            async with unit_of_work(self._engine) as connection:
                who = _Who(await consultants.id_of(connection, extension), extension)
                return who, await begin(
                    connection,
                    self._policy,
                    self._settings,
                    wanted,
                    consultant_id=who.id,
                    call_id=leg_id,
                )
        except (SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the database failed: {type(exc).__name__}") from exc

    async def _tell_refused(self, channel: Channel, why: CallcenterError) -> None:
        try:
            await channel.answer()
            sounds = [self._sounds.sound(each, refusal_prompt(why)) for each in LANGUAGES]
            await channel.play(sounds, until_key=False)
        except (LegGone, WeFailed) as exc:
            log.info("the refusal is not heard: %s", exc)


@asynccontextmanager
async def _answered(channel: Channel) -> AsyncIterator[Leg]:
    await channel.answer()
    try:
        yield channel
    finally:
        await asyncio.shield(channel.hang_up())


def _not_awaited(writing: "asyncio.Task[tuple[_Who, Begun]]") -> None:
    """Nobody waits for what came too late."""
    if not writing.cancelled():
        writing.exception()
