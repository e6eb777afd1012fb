"""Read model of the workspace: a consultant's call and the appeal of that very call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import statistics
from callcenter.appeals.search.worklists import WorkListReader, is_unsaved
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.command_bus import (
    ActiveCallRef,
    CommandClient,
    NoActiveCall,
)
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.acd.rules.priority import CALLBACK
from callcenter.telephony.calls.outcomes import Urgency
from callcenter.telephony.outbound.consultant_calls import find_consultant_call
from callcenter.workspace.caller_brief import CallerBrief, read_brief

T = TypeVar("T")

CALL_TIMEOUT = 1.0  # seconds for the call or the database to answer; it is unknown then
LAST_CALL_AFTER = timedelta(hours=12)  # a call that ended longer ago is not offered for recording
UNAVAILABLE = (CallcenterError, SQLAlchemyError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class OwnCall:
    """The call of a consultant now, or the last one.

    `appeal` is that of this call, never another's. What is not set is unknown, or is not so.
    """

    place: str | None = None  #: its id at the distributor, from the offer to the end
    is_over: bool = False  #: it is the last one, and there is none now
    state: Answer | None = None  #: of the conversation; not while it rings
    appeal: str | None = None
    language: str | None = None
    urgencies: Sequence[str] = ()
    brief: CallerBrief | None = None  #: of whoever is at the other end
    is_unsaved: bool = False  #: its record is owed by the consultant, or typed and not saved

    @property
    def is_settled(self) -> bool:
        """Whether it stays as it is until the next call."""
        return self.is_over and self.appeal is not None

    @property
    def is_callback(self) -> bool:
        """Whether somebody is called back who asked for it."""
        return (self.place or "").startswith(CALLBACK)

    @property
    def awaits_third_party(self) -> bool:
        """Whether somebody is being called to the conversation."""
        return (self.state or {}).get("guest") == "called"

    @property
    def is_in_danger(self) -> bool:
        return Urgency.DANGER in self.signals

    @property
    def is_silent(self) -> bool:
        """Whether the caller cannot speak, and answers by keys."""
        return Urgency.SILENT in self.signals

    @property
    def signals(self) -> Sequence[str]:
        """Urgencies as written, and the one that the conversation tells at once."""
        now = (self.state or {}).get("urgent", "")
        return (*self.urgencies, now) if now and now not in self.urgencies else self.urgencies


class OwnCallReader:
    """Reads the call of one consultant, as often as wanted, for its consultant."""

    def __init__(
        self, engine: AsyncEngine, commands: CommandClient, actor: Actor, extension: str
    ) -> None:
        self._engine = engine
        self._commands = commands
        self._actor = actor
        self._extension = extension
        self._brief: CallerBrief | None = None  #: of the appeal read last
        self._talked: OwnCall | None = None  #: the last call that was seen as a conversation
        self._last: OwnCall | None = None  #: read once after a call

    async def read(self, *, is_rung: bool = False) -> OwnCall:
        """The call now, within three seconds; never raises for what is unavailable.

        One that is rung for has no conversation, and is not asked for its state.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                held = await self._commands.find_active_call(self._extension)
        except NoActiveCall:
            return await self._read_over()
        except UNAVAILABLE:
            return OwnCall()
        self._last = None
        call = await self._add_brief(await self._read_appeal(held.id))
        return call if is_rung else await self._read_state(held, call)

    async def _add_brief(self, call: OwnCall) -> OwnCall:
        """The call with what is shown of its caller, which is read once."""
        number = call.appeal
        if number is None:
            return call
        if self._brief is None or self._brief.row.number != number:
            self._brief = await self._query_or_none(lambda it: read_brief(it, self._actor, number))
        return replace(call, brief=self._brief)

    async def _read_over(self) -> OwnCall:
        """The last call, and whether its record is saved."""
        # One that was seen may be written late; an unseen one is looked for until the database
        # has answered.
        if self._last is None or (self._last.appeal is None and self._talked is not None):
            try:
                self._last = await self._read_last()
            except UNAVAILABLE:
                return OwnCall(is_over=True)
        return await self._add_unsaved(self._last)

    async def _read_last(self) -> OwnCall:
        """The last call: the one that was seen, else the one that the database knows.

        Raises what is UNAVAILABLE when the database does not answer.
        """
        talked = self._talked
        if talked is None or talked.place is None:
            since = datetime.now(UTC) - LAST_CALL_AFTER
            last = await self._query(
                lambda it: statistics.find_last_call(it, self._extension, since)
            )
            number, signals = last or (None, ())
        else:
            number = talked.appeal or (await self._read_appeal(talked.place)).appeal
            signals = talked.signals
        return OwnCall(is_over=True, appeal=number, urgencies=tuple(signals))

    async def _add_unsaved(self, last: OwnCall) -> OwnCall:
        """The last call with whether its record is saved, which changes after it."""
        number, user = last.appeal, self._actor.user
        if number is None or user is None:
            return last
        now = datetime.now(UTC)
        reader = WorkListReader(user.name, now.astimezone(ZONE).date(), now)
        unsaved = await self._query_or_none(lambda it: is_unsaved(it, number, reader))
        return replace(last, is_unsaved=bool(unsaved))

    async def _read_state(self, held: ActiveCallRef, call: OwnCall) -> OwnCall:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                state = await self._commands.send_to_call(held, CallCommand("status", "self"))
        except CommandRefused:  # it rings, or it is the conversation of another
            return call
        except UNAVAILABLE:
            self._talked = None  # this may be a conversation
            return call
        self._talked = replace(call, state=state)
        return self._talked

    async def _read_appeal(self, place: str) -> OwnCall:
        """The call of this place with its appeal, as far as it is written."""
        found = await self._query_or_none(
            lambda it: find_consultant_call(it, self._extension, place)
        )
        if found is None:
            return OwnCall(place=place)
        return OwnCall(
            place=place,
            appeal=found.number,
            language=found.language,
            urgencies=tuple(found.urgent),
        )

    async def _query_or_none(
        self, query: Callable[[AsyncConnection], Awaitable[T | None]]
    ) -> T | None:
        """The result of a query; None too when the database does not answer."""
        try:
            return await self._query(query)
        except UNAVAILABLE:
            return None

    async def _query(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with asyncio.timeout(CALL_TIMEOUT), unit_of_work(self._engine) as connection:
            return await query(connection)
