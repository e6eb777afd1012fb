"""What is to be done: work lists over the records, and what is late."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.cursor import Place
from callcenter.appeals.tables import appeal
from callcenter.register.searching import Found, rows
from callcenter.register.stages import ENDED, Stage
from callcenter.register.tables import record, record_draft
from callcenter.web.tables import web_user

LIMIT = 200  # of what is counted and alarmed about
UNWRITTEN = timedelta(days=14)  # in which a call without a record is to be written down
DANGER_WAITS = timedelta(minutes=15)  # after which a danger that nobody passed on alarms

_goes_on = record.c.stage.not_in([stage.value for stage in ENDED])
# The same, as the index by owner and stage can serve it.
_stands = record.c.stage.in_([stage.value for stage in Stage if stage not in ENDED])
# As the partial index says it, word for word.
_not_passed_on = and_(
    record.c.danger_passed_at.is_(None), record.c.content["danger"].astext == "yes"
)


class List(StrEnum):
    """The lists, in the order in which they are looked at."""

    DANGER = "danger"  #: danger that was not passed on yet
    OVERDUE = "overdue"  #: whose answer, or the notice of an extension, is late
    TODAY = "today"  #: whose answer or notice is due today
    MINE = "mine"  #: that this person answers for
    UNWRITTEN = "unwritten"  #: calls that this consultant had and wrote nothing about
    DRAFTS = "drafts"  #: that this person typed and did not save


def _conditions(user: str, today: date, now: datetime) -> Mapping[List, ColumnElement[bool]]:
    due, notice = record.c.due_on, record.c.notice_due_on
    me = select(web_user.c.consultant_id).where(web_user.c.name == user).scalar_subquery()
    draft = exists().where(
        record_draft.c.appeal_id == appeal.c.id, record_draft.c.author == f"user:{user}"
    )
    return {
        List.DANGER: and_(_goes_on, _not_passed_on),
        List.OVERDUE: and_(_goes_on, or_(due < today, notice < today)),
        List.TODAY: and_(_goes_on, or_(due == today, notice == today)),
        List.MINE: and_(_stands, record.c.owner == user),
        List.UNWRITTEN: and_(
            appeal.c.consultant_id == me,
            appeal.c.received_at > now - UNWRITTEN,
            record.c.appeal_id.is_(None),
        ),
        List.DRAFTS: draft,
    }


async def read(
    connection: AsyncConnection,
    which: List,
    user: str,
    *,
    today: date,
    now: datetime,
    after: tuple[date, Place] | None = None,
    limit: int,
) -> list[Found]:
    """A work list of a user, by its deadline (none: `date.max`), then the oldest first.

    `after` is where the last one known stands.
    """
    due = func.coalesce(record.c.due_on, date.max)
    order = (due, appeal.c.received_at, appeal.c.id)
    query = rows().where(_conditions(user, today, now)[which]).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(tuple_(*order) > (after[0], *after[1]))
    return [Found(*row) for row in await connection.execute(query)]


async def counts(
    connection: AsyncConnection, user: str, *, today: date, now: datetime
) -> dict[List, int]:
    """How long each list is, up to 200."""
    found = {}
    for which, condition in _conditions(user, today, now).items():
        some: Any = rows().where(condition).limit(LIMIT).subquery()
        found[which] = (
            await connection.execute(select(func.count()).select_from(some))
        ).scalar_one()
    return found


async def late(connection: AsyncConnection, *, today: date, now: datetime) -> dict[List, list[str]]:
    """Numbers of appeals to alarm about: danger that waits, and answers that are overdue."""
    conditions = _conditions("", today, now)
    waits = and_(conditions[List.DANGER], record.c.changed_at < now - DANGER_WAITS)
    found = {}
    for which, condition in ((List.DANGER, waits), (List.OVERDUE, conditions[List.OVERDUE])):
        query = rows().where(condition).with_only_columns(appeal.c.number).limit(LIMIT)
        found[which] = list((await connection.execute(query)).scalars())
    return found
