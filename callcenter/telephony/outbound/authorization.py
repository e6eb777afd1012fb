"""Authorization of an outbound call: number policy, hourly limits, and its appeal."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import outbound_calls, store
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.rules import is_private
from callcenter.appeals.rules.number import parse
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.outbound.rules import EMERGENCY, NumberPolicy
from callcenter.telephony.outbound.ways import OUTBOUND, THIRD_PARTY

RECENT_LIMIT = timedelta(days=30)  #: a dialled number is about an appeal not older than this
THIRD_PARTY_TIMEOUT = 1.0  # seconds: the caller is on hold meanwhile
_HOUR = timedelta(hours=1)


class TooOften(InvalidRequest):
    """There were too many calls within the hour: wait before you call again."""


class NoSuchAppeal(InvalidRequest):
    """There is no appeal with this number."""


class NoNumberToCall(InvalidRequest):
    """There is no number of the caller: say which number to call."""


class CallerStillConnected(InvalidRequest):
    """The caller of this appeal is on the line, or was a moment ago."""


class HourlyLimits(Protocol):
    """Limits of calls within an hour; `callcenter.platform.core.settings` implements it."""

    @property
    def calls_by_consultant(self) -> int: ...
    @property
    def calls_to_number(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A consultant's request: a number as it was written, an appeal by its id, or both.

    Without a number the caller of the appeal is called; pages of the version before name the appeal
    by its number. `despite_wish`: also one who wants no
    calls, as a senior decided (`contact.service.override`). `id` is that of the call, for an order
    that must begin one only: the database has each once. `others` are called one after another, at
    once, while nobody is reached. What is urgent is to a body by the directory: it has no hourly
    limit, and what somebody wishes about that number does not hold it up.
    """

    number: str | None
    appeal: UUID | str | None = None
    despite_wish: bool = False
    id: UUID | None = None
    others: tuple[str, ...] = ()
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class AuthorizedCall:
    """An authorized call, as it is saved before it is made."""

    call: OutboundCallRow
    appeal: str
    language: str | None


async def begin(
    connection: AsyncConnection,
    policy: NumberPolicy,
    limits: HourlyLimits,
    request: OutboundRequest,
    *,
    consultant_id: UUID,
    call_id: str,
) -> AuthorizedCall:
    """Authorize the call and save it as made now.

    About the appeal named, or the newest one of that number which this consultant had in the last
    thirty days, or a new one. Raises NumberRefused, TooOften, NoSuchAppeal, NoNumberToCall,
    CallerStillConnected, ContactRefused, IntegrityError for an `id` that there is.
    """
    now = datetime.now(UTC)
    row = None if request.appeal is None else await _find_appeal(connection, request.appeal)
    written = request.number or (row.caller_number if row else None)
    if not written:
        raise NoNumberToCall
    number = policy.check(written)
    if row and row.outcome is None and number == row.caller_number:
        raise CallerStillConnected
    if not (request.despite_wish or request.is_urgent):
        await contact.ask(connection, OUTBOUND, number=number)
    if not request.is_urgent:
        await _check_limits(connection, limits, number, consultant_id, now)
    if row is None:
        row = await _find_or_open_appeal(connection, number, consultant_id, now)
    call = await outbound_calls.begin(
        connection,
        appeal_id=row.id,
        call_id=call_id,
        number=number,
        consultant_id=consultant_id,
        began_at=now,
        outgoing_id=request.id,
    )
    return AuthorizedCall(call, row.number, row.language)


def begin_unwritten(
    number: str, request: OutboundRequest, *, consultant_id: UUID, call_id: str
) -> AuthorizedCall:
    """An authorized call that cannot be saved now, without a database: `write` does so later.

    About the appeal whose id the request has, else about one of its own.
    """
    now = datetime.now(UTC)
    if isinstance(request.appeal, UUID):
        call_uuid = request.id or uuid4()
        appeal_id, ordinal = request.appeal, outbound_calls.unwritten_ordinal(call_uuid)
    else:
        call_uuid, appeal_id, ordinal = uuid4(), uuid4(), 1
    call = OutboundCallRow(
        call_uuid, appeal_id, ordinal, number, consultant_id, call_id, now, None, None
    )
    return AuthorizedCall(call, "", None)


async def authorize_third_party(engine: AsyncEngine, number: str) -> None:
    """Ask whether a number, in E.164 or short, may be called into a conversation now.

    Raises ContactRefused; OperationFailed within a second without a database: then only services
    are called, for nobody can tell the number of a body from that of a person.
    """
    if not is_private(number):
        return
    try:
        async with asyncio.timeout(THIRD_PARTY_TIMEOUT), unit_of_work(engine) as connection:
            await contact.ask(connection, THIRD_PARTY, number=number)
    except (SQLAlchemyError, OSError, TimeoutError) as exc:
        raise OperationFailed("the wishes about contact cannot be read") from exc


async def write(connection: AsyncConnection, call: OutboundCallRow, consultant_id: UUID) -> None:
    """Save a call that began unwritten; an appeal of its own is opened. Repeatable."""
    if await store.find_by_id(connection, call.appeal_id) is None:
        await _open_appeal(connection, call.appeal_id, call.number, consultant_id, call.began_at)
    else:  # about one that is there, or this was done before
        call = replace(call, ordinal=outbound_calls.unwritten_ordinal(call.id))
    await outbound_calls.add_once(connection, call)


async def _find_appeal(connection: AsyncConnection, which: UUID | str) -> store.AppealRow:
    row = await (
        store.find_by_id(connection, which)
        if isinstance(which, UUID)
        else store.find(connection, parse(which))
    )
    if row is None:
        raise NoSuchAppeal
    return row


async def _check_limits(
    connection: AsyncConnection,
    limits: HourlyLimits,
    number: str,
    consultant_id: UUID,
    now: datetime,
) -> None:
    """Raise TooOften. Short numbers have no limit of their own, emergency numbers have none."""
    if number in EMERGENCY:
        return
    by = await outbound_calls.count_since(connection, now - _HOUR, consultant_id=consultant_id)
    if by >= limits.calls_by_consultant:
        raise TooOften
    to = await outbound_calls.count_since(connection, now - _HOUR, number=number)
    if number.startswith("+") and to >= limits.calls_to_number:
        raise TooOften


async def _find_or_open_appeal(
    connection: AsyncConnection, number: str, consultant_id: UUID, now: datetime
) -> store.AppealRow:
    appeal_id = await outbound_calls.find_last_appeal(
        connection, consultant_id=consultant_id, number=number, since=now - RECENT_LIMIT
    )
    if appeal_id is None:
        appeal_id = uuid4()
        await _open_appeal(connection, appeal_id, number, consultant_id, now)
    row = await store.find_by_id(connection, appeal_id)
    if row is None:
        raise NoSuchAppeal
    return row


async def _open_appeal(
    connection: AsyncConnection, appeal_id: UUID, number: str, consultant_id: UUID, now: datetime
) -> None:
    await store.open_appeal(
        connection,
        appeal_id=appeal_id,
        call_id=None,
        channel=outbound_calls.CHANNEL,
        caller_kind=parse_caller_id(number).kind,
        caller_number=number,
        received_at=now,
    )
    await store.set_consultant(connection, appeal_id=appeal_id, consultant_id=consultant_id)
