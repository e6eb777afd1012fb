"""What is to be done: work lists over the records, and what is late."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, column, exists, func, or_, select, table, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import cut_off
from callcenter.appeals.cursor import Place
from callcenter.appeals.tables import appeal
from callcenter.consultants.tables import consultant
from callcenter.register.searching import Found, rows
from callcenter.register.stages import ENDED, Stage
from callcenter.register.tables import record, record_draft, record_reminder
from callcenter.web.tables import web_user

LIMIT = 200  # of what is counted and alarmed about
UNWRITTEN = timedelta(days=14)  # in which a call without a record is to be written down
URGENT_WAITS = timedelta(minutes=15)  # after which what is urgent and was not passed on alarms

_goes_on = record.c.stage.not_in([stage.value for stage in ENDED])
# The same, as the index by owner and stage can serve it.
_stands = record.c.stage.in_([stage.value for stage in Stage if stage not in ENDED])
# The room of promises is above this one; of a promise we need only whether a call is owed.
_promise = table("promise", *map(column, ("appeal_id", "kind", "state")))


class List(StrEnum):
    """The lists, in the order in which they are looked at."""

    CUT_OFF = "cut_off"  #: whose caller a fault cut off: to be called back?
    URGENT = "urgent"  #: danger, and what else is urgent, that was not passed on yet
    OVERDUE = "overdue"  #: whose answer, step, notice, or what a letter waits for, is late
    TODAY = "today"  #: of whom any of these is due today
    REMINDERS = "reminders"  #: that this person is to be reminded of by now
    CALLBACK = "callback"  #: whose caller was promised to be called back
    MINE = "mine"  #: that this person answers for
    TEAM = "team"  #: that somebody of this consultant's team answers for
    UNWRITTEN = "unwritten"  #: calls that this consultant had and wrote nothing about
    DRAFTS = "drafts"  #: that this person typed and did not save


def _conditions(user: str, today: date, now: datetime) -> Mapping[List, ColumnElement[bool]]:
    terms = ("due_on", "notice_due_on", "forward_due_on", "letter_due_on")
    days = [record.c[name] for name in terms]
    me = select(web_user.c.consultant_id).where(web_user.c.name == user).scalar_subquery()
    draft = exists().where(
        record_draft.c.appeal_id == appeal.c.id, record_draft.c.author == f"user:{user}"
    )
    reminder = exists().where(
        record_reminder.c.appeal_id == appeal.c.id,
        record_reminder.c.user_name == user,
        record_reminder.c.done_at.is_(None),
        record_reminder.c.due_at <= now,
    )
    owed = exists().where(
        _promise.c.appeal_id == appeal.c.id,
        _promise.c.kind == "callback",
        _promise.c.state == "open",
    )
    return {
        List.CUT_OFF: cut_off.to_decide(now),
        List.URGENT: and_(_goes_on, record.c.not_passed_on),
        List.OVERDUE: and_(_goes_on, or_(*(day < today for day in days))),
        List.TODAY: and_(_goes_on, or_(*(day == today for day in days))),
        List.REMINDERS: reminder,
        List.CALLBACK: owed,
        List.MINE: and_(_stands, record.c.owner == user),
        List.TEAM: and_(_goes_on, record.c.owner.in_(_team(user))),
        List.UNWRITTEN: and_(
            appeal.c.consultant_id == me,
            appeal.c.received_at > now - UNWRITTEN,
            record.c.appeal_id.is_(None),
        ),
        List.DRAFTS: draft,
    }


def _team(user: str) -> Select[tuple[str]]:
    """Everybody of this person's team; those without a team are one (see consultants.teams)."""
    mine, other = consultant.alias(), consultant.alias()
    me, they = web_user.alias(), web_user.alias()
    return (
        select(they.c.name)
        .join(other, other.c.id == they.c.consultant_id)
        .join(mine, mine.c.team.is_not_distinct_from(other.c.team))
        .join(me, me.c.consultant_id == mine.c.id)
        .where(me.c.name == user)
    )


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
    """All appeals to alarm about, by their numbers: what is urgent and waits, what is overdue, and
    callers who were cut off, about whom nobody does anything.

    Of reminders that are due it is their ids.
    """
    conditions = _conditions("", today, now)
    # Not by when it was saved: whoever goes on typing must not put the alarm off.
    waits = and_(conditions[List.URGENT], appeal.c.received_at < now - URGENT_WAITS)
    found = {}
    for which, condition in ((List.URGENT, waits), (List.OVERDUE, conditions[List.OVERDUE])):
        query = rows().where(condition).with_only_columns(appeal.c.number)
        found[which] = list((await connection.execute(query)).scalars())
    due = (
        select(record_reminder.c.id)
        .where(record_reminder.c.done_at.is_(None), record_reminder.c.due_at <= now)
        .order_by(record_reminder.c.due_at)
    )
    found[List.REMINDERS] = [str(each) for each in (await connection.execute(due)).scalars()]
    found[List.CUT_OFF] = await cut_off.untouched(connection, now)
    return found
