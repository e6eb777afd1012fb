"""Conversations dropped by a fault of ours: a person decides whether to call back.

Nobody is called automatically: the one who answers may be the one that the caller fears.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal, appeal_event, outgoing_call
from callcenter.platform.core.errors import InvalidRequest

DECISION_LIMIT = timedelta(days=1)  #: after it the appeal is one like others
ALERT_AFTER = timedelta(minutes=3)  #: without a decision supervisors are alerted
EVENT_KIND = "not_called_back"  #: of the event of an appeal that stores the decision


class NoCallbackReason(StrEnum):
    """Reason why nobody calls back. Values are stored on appeals: never rename one."""

    UNSAFE = "unsafe"  #: it could harm the caller
    SPOKE_AGAIN = "spoke_again"  #: the caller has reached us since, by whatever way
    NO_NEED = "no_need"  #: all was said before the fault
    NOT_REACHED = "not_reached"  #: it was tried, and is not tried again


class NotADroppedCall(InvalidRequest):
    """This call was not dropped by a fault, or the decision about it was made already."""


@dataclass(frozen=True, slots=True)
class DroppedCall:
    """Conversation that a fault of ours ended; nobody has talked with the caller since."""

    appeal: str
    at: datetime
    language: str | None
    urgent: tuple[str, ...]
    tries: int  #: calls that did not reach the caller


def awaits_decision(now: datetime) -> ColumnElement[bool]:
    """Condition on `appeal`: somebody has to decide whether its caller is called back."""
    later = appeal.alias()
    talked: ColumnElement[str] = literal_column("'talked'")
    return and_(
        # No parameter: a plan made for any outcome could not use the index of this one.
        appeal.c.outcome == literal_column("'lost_to_a_fault'"),
        appeal.c.ended_at > now - DECISION_LIMIT,
        appeal.c.caller_kind == "number",
        _has_event("connected"),
        not_(_has_event(EVENT_KIND)),
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


def _has_event(kind: str) -> ColumnElement[bool]:
    return exists().where(appeal_event.c.appeal_id == appeal.c.id, appeal_event.c.kind == kind)


async def list_undecided(connection: AsyncConnection, now: datetime) -> Sequence[DroppedCall]:
    """Return dropped calls without a decision, the urgent first, then the oldest."""
    tries = (
        select(func.count())
        .where(
            outgoing_call.c.appeal_id == appeal.c.id, outgoing_call.c.began_at > appeal.c.ended_at
        )
        .scalar_subquery()
    )
    rows = await connection.execute(
        select(appeal.c.number, appeal.c.ended_at, appeal.c.language, appeal.c.urgent, tries)
        .where(awaits_decision(now))
        .order_by(appeal.c.urgent == [], appeal.c.ended_at)
    )
    return [DroppedCall(*row[:3], tuple(row[3]), row[4]) for row in rows]


async def list_overdue(connection: AsyncConnection, now: datetime) -> list[str]:
    """Return numbers of appeals to alert about: no call and no decision for minutes."""
    return [
        each.appeal
        for each in await list_undecided(connection, now)
        if not each.tries and each.at < now - ALERT_AFTER
    ]


async def is_undecided(connection: AsyncConnection, number: str, now: datetime) -> bool:
    """Whether `awaits_decision` holds for the appeal with this number."""
    query = select(exists().where(appeal.c.number == number, awaits_decision(now)))
    return bool((await connection.execute(query)).scalar_one())
