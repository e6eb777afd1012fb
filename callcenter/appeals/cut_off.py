"""Callers whom a fault cut off from a consultant: whether to call them is decided by a person.

Nobody is called by itself: whoever answers may be the one that the caller fears.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.store import alone_with, append_event, find
from callcenter.appeals.tables import appeal, appeal_event, outgoing_call
from callcenter.errors import AskedWrongly

WITHIN = timedelta(days=1)  #: after that it is no call back, but an appeal like others
UNTOUCHED = timedelta(minutes=3)  #: after which supervisors are alarmed
KIND = "not_called_back"  #: the moment that keeps why not, see line.outcomes


class Reason(StrEnum):
    """Why nobody calls. Names are kept on appeals: never rename one."""

    UNSAFE = "unsafe"  #: it could harm the caller
    SPOKE_AGAIN = "spoke_again"  #: the caller has reached us since, by whatever way
    NO_NEED = "no_need"  #: all was said before the fault
    NOT_REACHED = "not_reached"  #: it was tried, and is not tried again


class NotCutOff(AskedWrongly):
    """Nobody is to be called back about this appeal: that was decided, or its call was not cut."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """A conversation that our fault ended, and the caller was not spoken with since."""

    appeal: str
    at: datetime
    language: str | None
    urgent: tuple[str, ...]
    tries: int  #: calls that did not reach the caller


def to_decide(now: datetime) -> ColumnElement[bool]:
    """Of an appeal: whether somebody has to decide now whether its caller is called back."""
    later = appeal.alias()
    talked: ColumnElement[str] = literal_column("'talked'")
    return and_(
        # No parameter: a plan made for any outcome could not use the index of this one.
        appeal.c.outcome == literal_column("'lost_to_a_fault'"),
        appeal.c.ended_at > now - WITHIN,
        appeal.c.caller_kind == "number",
        _had("connected"),
        not_(_had(KIND)),
        not_(
            exists().where(
                later.c.caller_number == appeal.c.caller_number,
                later.c.received_at > appeal.c.received_at,
                later.c.outcome == talked,
            )
        ),
        not_(
            exists().where(
                outgoing_call.c.appeal_id == appeal.c.id, outgoing_call.c.outcome == talked
            )
        ),
    )


def _had(kind: str) -> ColumnElement[bool]:
    return exists().where(appeal_event.c.appeal_id == appeal.c.id, appeal_event.c.kind == kind)


async def waiting(connection: AsyncConnection, now: datetime) -> Sequence[CutOff]:
    """All that somebody has to decide, the urgent first, then whoever was cut off first."""
    tries = (
        select(func.count())
        .where(
            outgoing_call.c.appeal_id == appeal.c.id, outgoing_call.c.began_at > appeal.c.ended_at
        )
        .scalar_subquery()
    )
    rows = await connection.execute(
        select(appeal.c.number, appeal.c.ended_at, appeal.c.language, appeal.c.urgent, tries)
        .where(to_decide(now))
        .order_by(appeal.c.urgent == [], appeal.c.ended_at)
    )
    return [CutOff(*row[:3], tuple(row[3]), row[4]) for row in rows]


async def untouched(connection: AsyncConnection, now: datetime) -> list[str]:
    """Numbers of the appeals about which nobody has done anything for minutes."""
    return [
        each.appeal
        for each in await waiting(connection, now)
        if not each.tries and each.at < now - UNTOUCHED
    ]


async def leave_uncalled(
    connection: AsyncConnection, number: str, *, by: str, reason: Reason
) -> None:
    """Decide that the caller of an appeal is not called back. Raises NotCutOff."""
    row = await find(connection, number)
    if row is None:
        raise NotCutOff
    await alone_with(connection, row.id)
    now = datetime.now(UTC)
    if not await is_to_decide(connection, number, now):
        raise NotCutOff
    detail = {"not_called": reason.value, "by": by}
    await append_event(connection, appeal_id=row.id, at=now, kind=KIND, detail=detail)


async def is_to_decide(connection: AsyncConnection, number: str, now: datetime) -> bool:
    """`to_decide` of one appeal."""
    query = select(exists().where(appeal.c.number == number, to_decide(now)))
    return bool((await connection.execute(query)).scalar_one())
