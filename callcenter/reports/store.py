"""Queries of figures: calls of a period as facts.

Calls are counted and listed by the same conditions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    distinct,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.calls.tables import appeal, appeal_event
from callcenter.appeals.followup.follow_up_calls_store import is_at_risk
from callcenter.appeals.rules.follow_up_calls import FollowUpResult
from callcenter.appeals.search.query import SearchHit, select_hits
from callcenter.appeals.tables import follow_up_call, record
from callcenter.platform.core.pagination import Place
from callcenter.platform.core.timezone import ZONE
from callcenter.reports.rules import (
    AGAIN_AFTER,
    CallerFigures,
    CallFigures,
    FollowUpFigures,
    Measure,
    Period,
    PeriodFigures,
)
from callcenter.telephony.reconciliation.rules import REFUSED_PREFIX
from callcenter.telephony.reconciliation.tables import refused_call
from callcenter.wallboard.rules import ABANDONED

#: Within which whatever counts happens to a call, by the time of its arrival.
EVENTS_WITHIN = timedelta(days=1)
#: Measures that look at other calls of the number too.
_OF_NUMBERS = (Measure.FIRST_CONTACTS, Measure.HELPED)
#: Measures of calls at risk, which records say too.
_OF_RISK = (Measure.AT_RISK, Measure.FOLLOW_UP_OFFERED, Measure.FOLLOWED_UP)
# Compiling takes longer than a month does; calls are sorted in memory.
_PLAN = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True, slots=True)
class CallSelection:
    """The calls of a measure in a period, or in an hour of its days."""

    measure: Measure
    period: Period
    hour: int | None = None


class _Group(NamedTuple):
    """The calls of a day, of an hour of the days, or all of them."""

    day: date | None = None
    hour: Decimal | None = None


async def read_figures(
    connection: AsyncConnection, period: Period, goal: timedelta
) -> PeriodFigures:
    """Count the inbound calls that were received in a period, by day, hour, and in all.

    `goal` is the longest wait of an answer in time.
    """
    await connection.exec_driver_sql(_PLAN)
    facts = _facts(period.since, period.until)
    waits = facts.c.wait
    query = select(
        facts.c.day,
        facts.c.hour,
        *(
            func.count().filter(_condition(each, facts, goal)).label(each.value)
            for each in Measure
            if each.value in CallFigures.__dataclass_fields__
        ),
        func.percentile_disc(literal_column("0.5")).within_group(waits).label("wait_median"),
        func.percentile_disc(literal_column("0.95")).within_group(waits).label("wait_p95"),
        func.max(waits).label("wait_longest"),
    ).group_by(_groups_of(facts))
    refused = await _count_refused(connection, period)
    # An hour may have refused calls alone.
    figures = {group: CallFigures(refused=calls) for group, calls in refused.items()}
    for row in (await connection.execute(query)).mappings():
        counts = dict(row)
        group = _Group(counts.pop("day"), counts.pop("hour"))
        figures[group] = CallFigures(**counts, refused=refused.get(group, 0))
    return PeriodFigures(
        figures[_Group()],
        {group.day: each for group, each in figures.items() if group.day is not None},
        {int(group.hour): each for group, each in figures.items() if group.hour is not None},
        await _count_callers(connection, period),
        await _count_follow_ups(connection, period),
    )


async def list_calls(
    connection: AsyncConnection,
    selection: CallSelection,
    goal: timedelta,
    after: Place | None,
    limit: int,
) -> list[SearchHit]:
    """The appeals of the calls that a figure counts, the newest first."""
    await connection.exec_driver_sql(_PLAN)
    facts = _facts_for(selection.measure, selection.period)
    found = select(facts.c.id).where(_condition(selection.measure, facts, goal))
    if selection.hour is not None:
        found = found.where(facts.c.hour == selection.hour)
    newest = (appeal.c.received_at, appeal.c.id)
    query: Select[Any] = select_hits().where(appeal.c.id.in_(found))
    if after is not None:
        query = query.where(tuple_(*newest) < after)
    query = query.order_by(*(column.desc() for column in newest)).limit(limit)
    return [SearchHit(*row) for row in await connection.execute(query)]


async def _count_refused(connection: AsyncConnection, period: Period) -> dict[_Group, int]:
    """Count the calls that the switch refused in a period, those without an appeal too."""
    local = func.timezone(str(ZONE), refused_call.c.hour)
    counted = (
        select(
            func.date(local).label("day"),
            func.extract("hour", local).label("hour"),
            refused_call.c.calls,
        )
        .where(refused_call.c.hour >= period.since, refused_call.c.hour < period.until)
        .subquery()
    )
    query = select(
        counted.c.day, counted.c.hour, func.coalesce(func.sum(counted.c.calls), 0)
    ).group_by(_groups_of(counted))
    rows = await connection.execute(query)
    return {_Group(day, hour): calls for day, hour, calls in rows}


def _groups_of(calls: Subquery) -> ColumnElement[Any]:
    """The days, the hours of the day, and all: as `_Group` has them."""
    return func.grouping_sets(tuple_(calls.c.day), tuple_(calls.c.hour), tuple_())


async def _count_callers(connection: AsyncConnection, period: Period) -> CallerFigures:
    facts = _facts_for(Measure.HELPED, period)
    goal = timedelta()  # counts nothing here
    query = select(
        func.count(distinct(facts.c.caller_number)),
        *(
            func.count().filter(_condition(each, facts, goal))
            for each in (Measure.ATTEMPTS, *_OF_NUMBERS)
        ),
    )
    row = (await connection.execute(query)).one()
    return CallerFigures(row[0], row[1], row[2], row[3])


async def _count_follow_ups(connection: AsyncConnection, period: Period) -> FollowUpFigures:
    facts = _facts_at_risk(period)
    counted = (func.count().filter(_condition(each, facts, timedelta())) for each in _OF_RISK)
    row = (await connection.execute(select(*counted).select_from(facts))).one()
    return FollowUpFigures(row[0], row[1], row[2])


def _facts_at_risk(period: Period) -> Subquery:
    """A row for each inbound call at risk, and whether another call was offered and made."""
    calls = exists().where(follow_up_call.c.appeal_id == appeal.c.id)
    local = func.timezone(str(ZONE), appeal.c.received_at)
    return (
        select(
            appeal.c.id,
            func.extract("hour", local).label("hour"),
            calls.label("offered"),
            calls.where(follow_up_call.c.result == FollowUpResult.REACHED.value).label("reached"),
        )
        .select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        .where(
            appeal.c.channel == literal_column("'call'"),
            appeal.c.received_at >= period.since,
            appeal.c.received_at < period.until,
            is_at_risk(),
        )
        .subquery("at_risk")
    )


def _facts_for(measure: Measure, period: Period) -> Subquery:
    if measure in _OF_RISK:
        return _facts_at_risk(period)
    if measure not in _OF_NUMBERS:
        return _facts(period.since, period.until)
    # The calls of the weeks around, to see whether a number called before and again.
    around = _facts(period.since - AGAIN_AFTER, period.until + AGAIN_AFTER)
    order: Mapping[str, Any] = {
        "partition_by": around.c.caller_number,
        "order_by": (around.c.received_at, around.c.id),
    }
    answered_at = case((around.c.connected.is_not(None), around.c.received_at))
    seen = (
        select(
            around,
            func.max(answered_at).over(**order, rows=(None, -1)).label("answered_before"),
            func.lead(around.c.received_at).over(**order).label("called_again"),
        )
        .where(around.c.caller_number.is_not(None))
        .subquery()
    )
    return (
        select(seen)
        .where(seen.c.received_at >= period.since, seen.c.received_at < period.until)
        .subquery()
    )


def _facts(since: datetime, until: datetime) -> Subquery:
    """A row for each inbound call: when it came, waited and was answered.

    A conversation in a later outbound call is no answer to it. Events are found by their own time,
    in indexes that have nothing else.
    """
    event, spoken = appeal_event, appeal_event.alias()

    def of_time(at: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(at >= since, at < until + EVENTS_WITHIN)

    moments = (
        select(
            event.c.appeal_id,
            func.min(event.c.at).filter(event.c.kind == "waiting").label("waiting"),
            func.min(event.c.at).filter(event.c.kind == "connected").label("connected"),
        )
        # As it stands in the index, so that it is used whatever the plan.
        .where(literal_column("kind IN ('waiting', 'connected')"), of_time(event.c.at))
        .where(event.c.seq < first_seq(1))
        .group_by(event.c.appeal_id)
        .subquery("moments")
    )

    def first_of(kind: str, name: str) -> Subquery:
        return (
            select(spoken.c.appeal_id, func.min(spoken.c.at).label("at"))
            .where(spoken.c.kind == literal_column(f"'{kind}'"), of_time(spoken.c.at))
            .group_by(spoken.c.appeal_id)
            .subquery(name)
        )

    nobody, other = first_of("nobody_speaks", "nobody"), first_of("other_language", "other")
    local = func.timezone(str(ZONE), appeal.c.received_at)
    abandoned = and_(
        moments.c.waiting.is_not(None),
        moments.c.connected.is_(None),
        appeal.c.outcome.in_(ABANDONED),
    )
    ended = func.coalesce(moments.c.connected, case((abandoned, appeal.c.ended_at)))
    return (
        select(
            appeal.c.id,
            appeal.c.received_at,
            appeal.c.outcome,
            case((appeal.c.caller_kind == "number", appeal.c.caller_number)).label("caller_number"),
            func.date(local).label("day"),
            func.extract("hour", local).label("hour"),
            moments.c.waiting,
            moments.c.connected,
            abandoned.label("abandoned"),
            # Of a call whose events were written from CEL, the clock may be another's.
            case(
                (ended >= moments.c.waiting, ended - moments.c.waiting),
                (ended < moments.c.waiting, timedelta()),
            ).label("wait"),
            nobody.c.at.label("not_honoured"),
            (moments.c.connected >= other.c.at).label("other_language"),
            appeal.c.call_id.startswith(REFUSED_PREFIX).label("refused"),
        )
        .select_from(
            appeal.outerjoin(moments, moments.c.appeal_id == appeal.c.id)
            .outerjoin(nobody, nobody.c.appeal_id == appeal.c.id)
            .outerjoin(other, other.c.appeal_id == appeal.c.id)
        )
        .where(
            appeal.c.channel == literal_column("'call'"),
            appeal.c.received_at >= since,
            appeal.c.received_at < until,
        )
        .subquery("facts")
    )


def _condition(measure: Measure, facts: Subquery, goal: timedelta) -> ColumnElement[bool]:
    """The condition by which a measure counts a call; the one place that says it in SQL."""
    call = facts.c
    if measure in _OF_RISK:
        at_risk: Mapping[Measure, ColumnElement[bool]] = {
            Measure.AT_RISK: true(),
            Measure.FOLLOW_UP_OFFERED: call.offered,
            Measure.FOLLOWED_UP: call.reached,
        }
        return at_risk[measure]
    answered = call.connected.is_not(None)
    offered = or_(call.waiting.is_not(None), answered)
    conditions: Mapping[Measure, Sequence[ColumnElement[bool]]] = {
        Measure.RECEIVED: (call.received_at.is_not(None),),
        Measure.OFFERED: (offered,),
        Measure.ANSWERED: (answered,),
        Measure.IN_TIME: (answered, call.wait <= goal),
        Measure.ABANDONED: (call.abandoned,),
        Measure.REDIRECTED: (call.outcome == "redirected",),
        Measure.NOT_HONOURED: (call.not_honoured.is_not(None),),
        Measure.OTHER_LANGUAGE: (call.other_language,),
        Measure.REFUSED_WITH_APPEAL: (call.refused,),
        Measure.ATTEMPTS: (call.caller_number.is_not(None),),
    }
    if measure in conditions:
        return and_(*conditions[measure])
    first = and_(
        answered,
        or_(
            call.answered_before.is_(None),
            call.answered_before < call.received_at - AGAIN_AFTER,
        ),
    )
    if measure is Measure.FIRST_CONTACTS:
        return first
    again = call.called_again
    return and_(first, or_(again.is_(None), again > call.received_at + AGAIN_AFTER))
