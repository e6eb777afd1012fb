"""Work lists: appeals that somebody has to work on, and what of them is late."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import dropped_calls
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.record.store import is_open
from callcenter.appeals.rules.states import ENDED
from callcenter.appeals.search.query import SearchHit, select_hits
from callcenter.appeals.tables import (
    follow_up_call,
    psychological_talk,
    record,
    record_draft,
    record_reminder,
)
from callcenter.consultants.tables import consultant
from callcenter.platform.core.errors import N_, NotFound
from callcenter.platform.core.pagination import Place
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.tables import web_user

LIMIT = 200  # of what is counted and alerted about
TALK_SHOWN_BEFORE = timedelta(days=1)
WRITE_DOWN_LIMIT = timedelta(days=14)  # in which a call without a record is to be written down
URGENT_ALERT_AFTER = timedelta(minutes=15)  # of an urgent appeal that was not passed on
TALK_ALERT_AFTER = timedelta(minutes=15)  # of a booked talk: before that its psychologist sees it
FOLLOW_UP_ALERT_AFTER = timedelta(hours=2)  # of a follow-up call: before that its consultant calls

_DEADLINES = ("due_on", "notice_due_on", "forward_due_on", "letter_due_on")


@dataclass(frozen=True, slots=True)
class WorkListReader:
    """The user that reads work lists, and the moment of it."""

    user: str
    today: date
    now: datetime


@dataclass(frozen=True, slots=True)
class WorkList:
    """Extension point: a list of appeals that somebody has to work on.

    `key` names it in addresses and alerts, `label` on pages, where `position` orders the lists.
    `includes` is a condition on `appeal`, and `record` beside it, for a reader. A list that
    `is_pressing` is marked while anything is on it.
    """

    position: int
    key: str
    label: str
    includes: Callable[[WorkListReader], ColumnElement[bool]]
    is_pressing: bool = False


def _is_open() -> ColumnElement[bool]:
    return record.c.stage.not_in([stage.value for stage in ENDED])


def _is_urgent(_reader: WorkListReader) -> ColumnElement[bool]:
    """Danger, and what else is urgent, that was not passed on yet."""
    return and_(_is_open(), record.c.not_passed_on)


def _is_overdue(reader: WorkListReader) -> ColumnElement[bool]:
    """The answer, a step, a notice, or the answer to a letter is late."""
    return and_(_is_open(), or_(*(record.c[name] < reader.today for name in _DEADLINES)))


def _is_due_today(reader: WorkListReader) -> ColumnElement[bool]:
    return and_(_is_open(), or_(*(record.c[name] == reader.today for name in _DEADLINES)))


def _has_reminder(reader: WorkListReader) -> ColumnElement[bool]:
    """The reader is to be reminded of it by now."""
    return exists().where(
        record_reminder.c.appeal_id == appeal.c.id,
        record_reminder.c.user_name == reader.user,
        record_reminder.c.done_at.is_(None),
        record_reminder.c.due_at <= reader.now,
    )


def _is_own(reader: WorkListReader) -> ColumnElement[bool]:
    return and_(is_open(), record.c.owner == reader.user)


def _is_of_departed(_reader: WorkListReader) -> ColumnElement[bool]:
    """Appeals of which whoever answers for them does not work here any more."""
    departed = select(web_user.c.name).where(~web_user.c.active)
    return and_(is_open(), record.c.owner.in_(departed))


def _is_of_team(reader: WorkListReader) -> ColumnElement[bool]:
    return and_(_is_open(), record.c.owner.in_(_team(reader.user)))


def _is_unwritten(reader: WorkListReader) -> ColumnElement[bool]:
    """The reader talked with the caller and wrote no record."""
    own = select(web_user.c.consultant_id).where(web_user.c.name == reader.user)
    return and_(
        appeal.c.consultant_id == own.scalar_subquery(),
        appeal.c.received_at > reader.now - WRITE_DOWN_LIMIT,
        record.c.appeal_id.is_(None),
    )


def _has_draft(reader: WorkListReader) -> ColumnElement[bool]:
    return exists().where(
        record_draft.c.appeal_id == appeal.c.id, record_draft.c.author == f"user:{reader.user}"
    )


def _team(user: str) -> Select[tuple[str]]:
    """Select the names of users of a user's team; those without a team are one."""
    mine, other = consultant.alias(), consultant.alias()
    me, they = web_user.alias(), web_user.alias()
    return (
        select(they.c.name)
        .join(other, other.c.id == they.c.consultant_id)
        .join(mine, mine.c.team.is_not_distinct_from(other.c.team))
        .join(me, me.c.consultant_id == mine.c.id)
        .where(me.c.name == user)
    )


def _has_talk(reader: WorkListReader) -> ColumnElement[bool]:
    """The reader, a psychologist, has a talk within a day."""
    return exists().where(
        psychological_talk.c.appeal_id == appeal.c.id,
        psychological_talk.c.user_name == reader.user,
        psychological_talk.c.done_at.is_(None),
        psychological_talk.c.due_at <= reader.now + TALK_SHOWN_BEFORE,
    )


def _is_talk_missed(reader: WorkListReader) -> ColumnElement[bool]:
    """A booked talk did not take place: whoever reads it calls, or finds who does."""
    return exists().where(
        psychological_talk.c.appeal_id == appeal.c.id, _is_missed(reader.now - TALK_ALERT_AFTER)
    )


def _is_missed(at: datetime) -> ColumnElement[bool]:
    return and_(psychological_talk.c.done_at.is_(None), psychological_talk.c.due_at <= at)


def _has_follow_up(reader: WorkListReader) -> ColumnElement[bool]:
    """The reader has a follow-up call to make within a day."""
    return exists().where(
        follow_up_call.c.appeal_id == appeal.c.id,
        follow_up_call.c.user_name == reader.user,
        follow_up_call.c.result.is_(None),
        follow_up_call.c.due_at <= reader.now + TALK_SHOWN_BEFORE,
    )


def _is_follow_up_missed(reader: WorkListReader) -> ColumnElement[bool]:
    """A follow-up call was not made, or by nobody who is at work here: whoever reads it calls."""
    return exists().where(follow_up_call.c.appeal_id == appeal.c.id, _is_not_made(reader.now))


def _is_not_made(now: datetime) -> ColumnElement[bool]:
    is_at_work = exists().where(web_user.c.name == follow_up_call.c.user_name, web_user.c.active)
    return and_(
        follow_up_call.c.result.is_(None),
        or_(
            follow_up_call.c.due_at <= now - FOLLOW_UP_ALERT_AFTER,
            and_(follow_up_call.c.due_at <= now, ~is_at_work),
        ),
    )


_OWN = WorkList(70, "mine", N_("Mine"), _is_own)
#: What the room of appeals itself offers.
APPEAL_LISTS = (
    WorkList(
        10,
        "cut_off",
        N_("Cut off by a fault: call back?"),
        lambda reader: dropped_calls.awaits_decision(reader.now),
        is_pressing=True,
    ),
    WorkList(20, "urgent", N_("Urgent, not passed on yet"), _is_urgent, is_pressing=True),
    WorkList(30, "overdue", N_("Overdue"), _is_overdue, is_pressing=True),
    WorkList(40, "today", N_("Due today"), _is_due_today),
    WorkList(50, "reminders", N_("Reminders"), _has_reminder, is_pressing=True),
    WorkList(45, "missed_talks", N_("Missed talks"), _is_talk_missed, is_pressing=True),
    WorkList(
        46,
        "missed_follow_ups",
        N_("Follow-up calls not made"),
        _is_follow_up_missed,
        is_pressing=True,
    ),
    WorkList(52, "talks", N_("Booked talks"), _has_talk, is_pressing=True),
    WorkList(53, "follow_ups", N_("Follow-up calls"), _has_follow_up, is_pressing=True),
    _OWN,
    WorkList(75, "departed", N_("Of people who left"), _is_of_departed, is_pressing=True),
    WorkList(80, "team", N_("My team's"), _is_of_team),
    WorkList(90, "unwritten", N_("Calls without a record"), _is_unwritten),
    WorkList(100, "drafts", N_("Typed and not saved"), _has_draft),
)


def all_lists() -> list[WorkList]:
    """Return the lists that all rooms offer, in the order of pages."""
    return sorted(offers(WorkList), key=lambda each: each.position)


def find_list(key: str) -> WorkList:
    """Find a list by its key. Raises NotFound."""
    for each in all_lists():
        if each.key == key:
            return each
    raise NotFound("there is no such work list: choose one of the page")


def choose(counted: dict[WorkList, int]) -> WorkList:
    """Choose what to show first: the first list that is not empty, else the own appeals."""
    return next((each for each, count in counted.items() if count), _OWN)


async def read(
    connection: AsyncConnection,
    which: WorkList,
    reader: WorkListReader,
    *,
    after: tuple[date, Place] | None = None,
    limit: int,
) -> list[SearchHit]:
    """Read a work list, by deadline (none: `date.max`), then the oldest first.

    `after` is the place of the last row of the page before.
    """
    due = func.coalesce(record.c.due_on, date.max)
    order = (due, appeal.c.received_at, appeal.c.id)
    query = select_hits().where(which.includes(reader)).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(tuple_(*order) > (after[0], *after[1]))
    return [SearchHit(*row) for row in await connection.execute(query)]


async def is_unsaved(connection: AsyncConnection, number: str, reader: WorkListReader) -> bool:
    """Whether the reader owes this appeal a record, or typed something that is not saved."""
    unsaved = or_(_is_unwritten(reader), _has_draft(reader))
    query = select_hits().where(appeal.c.number == number, unsaved)
    return (await connection.execute(select(query.exists()))).scalar_one()


async def counts(connection: AsyncConnection, reader: WorkListReader) -> dict[WorkList, int]:
    """Count what is on each list, up to 200."""
    lists, appeals = all_lists(), select_hits().with_only_columns(appeal.c.id)
    counted = [
        select(func.count())
        .select_from(appeals.where(which.includes(reader)).limit(LIMIT).subquery())
        .scalar_subquery()
        for which in lists
    ]
    return dict(zip(lists, (await connection.execute(select(*counted))).one(), strict=True))


async def find_late(
    connection: AsyncConnection, *, today: date, now: datetime
) -> dict[str, list[str]]:
    """Find what to alert about, by key of the list: numbers of appeals, ids of the others.

    That is what is urgent and waits, what is overdue, booked talks and follow-up calls that were
    missed, and dropped calls that nobody has decided on.
    """
    nobody = WorkListReader("", today, now)
    # Not by when it was saved: somebody who goes on typing must not put the alert off.
    waits = and_(_is_urgent(nobody), appeal.c.received_at < now - URGENT_ALERT_AFTER)
    late = {}
    for key, condition in (("urgent", waits), ("overdue", _is_overdue(nobody))):
        query = select_hits().where(condition).with_only_columns(appeal.c.number)
        late[key] = list((await connection.execute(query)).scalars())
    missed = (
        select(psychological_talk.c.id)
        .where(_is_missed(now - TALK_ALERT_AFTER))
        .order_by(psychological_talk.c.due_at)
    )
    late["missed_talks"] = [str(each) for each in (await connection.execute(missed)).scalars()]
    not_made = select(follow_up_call.c.id).where(_is_not_made(now))
    calls = (await connection.execute(not_made.order_by(follow_up_call.c.due_at))).scalars()
    late["missed_follow_ups"] = [str(each) for each in calls]
    late["cut_off"] = await dropped_calls.list_overdue(connection, now)
    return late
