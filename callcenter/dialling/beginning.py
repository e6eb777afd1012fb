"""Before a number is called: may it be, is it called too often, and which appeal is it about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import outgoing, store
from callcenter.appeals.callers import read_caller
from callcenter.appeals.number import parse
from callcenter.appeals.outgoing import Outgoing
from callcenter.dialling.numbers import EMERGENCY, NumberPolicy
from callcenter.errors import AskedWrongly

RECENT = timedelta(days=30)  #: an appeal is what a consultant dials about for so long
_HOUR = timedelta(hours=1)


class TooOften(AskedWrongly):
    """There were too many calls within the hour: wait before you call again."""


class NoSuchAppeal(AskedWrongly):
    """There is no appeal with this number."""


class NobodyToCall(AskedWrongly):
    """There is no number of the caller: say which number to call."""


class StillThere(AskedWrongly):
    """The caller of this appeal is on the line, or was a moment ago."""


class AskedNotToBeCalled(AskedWrongly):
    """This person asked not to be called. Call only if that cannot harm them, despite the wish."""


class Limits(Protocol):
    """How many calls may be made within an hour; `callcenter.settings` has it."""

    @property
    def calls_by_consultant(self) -> int: ...
    @property
    def calls_to_number(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a consultant asks for: a number as it was written, an appeal's number, or both.

    Without a number the caller of the appeal is called. `despite_wish`: also one who asked not to
    be called.
    """

    number: str | None
    appeal: str | None = None
    despite_wish: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that is about to be made, as it is written down."""

    call: Outgoing
    appeal: str
    language: str | None


async def begin(
    connection: AsyncConnection,
    policy: NumberPolicy,
    limits: Limits,
    wanted: Wanted,
    *,
    consultant_id: UUID,
    call_id: str,
) -> Begun:
    """Write down that the call is made now, unless it may not be.

    About the appeal named, or the newest one of that number which this consultant had in the last
    thirty days, or a new one. Raises NumberRefused, TooOften, NoSuchAppeal, NobodyToCall,
    StillThere, AskedNotToBeCalled.
    """
    now = datetime.now(UTC)
    row = None if wanted.appeal is None else await _find(connection, wanted.appeal)
    written = wanted.number or (row.caller_number if row else None)
    if not written:
        raise NobodyToCall
    if row and not wanted.number and row.outcome is None:
        raise StillThere
    number = policy.check(written)
    if not wanted.despite_wish and await outgoing.is_unwanted(connection, number):
        raise AskedNotToBeCalled
    await _check_limits(connection, limits, number, consultant_id, now)
    if row is None:
        row = await _about(connection, number, consultant_id, now)
    call = await outgoing.begin(
        connection,
        appeal_id=row.id,
        call_id=call_id,
        number=number,
        consultant_id=consultant_id,
        began_at=now,
    )
    return Begun(call, row.number, row.language)


def begin_unwritten(number: str, *, consultant_id: UUID, call_id: str) -> Begun:
    """A call that is made though nobody can write it down: `write` does so later."""
    now = datetime.now(UTC)
    call = Outgoing(uuid4(), uuid4(), 1, number, consultant_id, call_id, now, None, None)
    return Begun(call, "", None)


async def write(connection: AsyncConnection, call: Outgoing, consultant_id: UUID) -> None:
    """Write down, about an appeal of its own, a call that began unwritten. Repeatable."""
    if await store.by_id(connection, call.appeal_id) is None:
        await _open(connection, call.appeal_id, call.number, consultant_id, call.began_at)
        await outgoing.add(connection, call)


async def _find(connection: AsyncConnection, written: str) -> store.AppealRow:
    row = await store.find(connection, parse(written))
    if row is None:
        raise NoSuchAppeal
    return row


async def _check_limits(
    connection: AsyncConnection, limits: Limits, number: str, consultant_id: UUID, now: datetime
) -> None:
    """Short numbers are services; those for emergencies are called as often as it is needed."""
    if number in EMERGENCY:
        return
    by = await outgoing.made_since(connection, now - _HOUR, consultant_id=consultant_id)
    if by >= limits.calls_by_consultant:
        raise TooOften
    to = await outgoing.made_since(connection, now - _HOUR, number=number)
    if number.startswith("+") and to >= limits.calls_to_number:
        raise TooOften


async def _about(
    connection: AsyncConnection, number: str, consultant_id: UUID, now: datetime
) -> store.AppealRow:
    appeal_id = await outgoing.last_about(
        connection, consultant_id=consultant_id, number=number, since=now - RECENT
    )
    if appeal_id is None:
        appeal_id = uuid4()
        await _open(connection, appeal_id, number, consultant_id, now)
    row = await store.by_id(connection, appeal_id)
    if row is None:
        raise NoSuchAppeal
    return row


async def _open(
    connection: AsyncConnection, appeal_id: UUID, number: str, consultant_id: UUID, now: datetime
) -> None:
    await store.open_appeal(
        connection,
        appeal_id=appeal_id,
        call_id=None,
        channel=outgoing.CHANNEL,
        caller_kind=read_caller(number).kind,
        caller_number=number,
        received_at=now,
    )
    await store.set_consultant(connection, appeal_id=appeal_id, consultant_id=consultant_id)
