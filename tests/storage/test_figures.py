"""Figures of days, on a real PostgreSQL: as counted by hand, and quick in a big register."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from math import ceil
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.calls.tables import appeal, appeal_event
from callcenter.appeals.tables import follow_up_call
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import unit_of_work
from callcenter.reports import store
from callcenter.reports.rules import (
    CallerFigures,
    CallFigures,
    FollowUpFigures,
    Measure,
    Period,
    PeriodFigures,
)
from callcenter.reports.store import CallSelection
from callcenter.telephony.reconciliation.rules import REFUSED_PREFIX
from callcenter.telephony.reconciliation.store import count_refused

GOAL = timedelta(seconds=20)
WEEK = timedelta(days=7)
OCTOBER = Period(date(2026, 10, 1), date(2026, 10, 31))
FEW, MANY = 2000, 1_000_000  #: calls of the big register, in a year
LONGEST = 2.0  #: seconds for a month of a million calls in a year


@dataclass(frozen=True)
class Generated:
    """A call: what came of it (see `MOMENTS`), after how long in the queue, from which number."""

    minute: int  #: since ten days before the month
    second: int
    number: int | None
    end: str
    wait: int
    language: str = ""  #: not honoured: nobody, or agreed to the other one

    @property
    def at(self) -> datetime:
        return OCTOBER.since + timedelta(days=-10, minutes=self.minute, seconds=self.second)


#: What a call had by its end: whether it waited, was answered, and its outcome.
ENDS: dict[str, tuple[bool, bool, str | None]] = {
    "in_menu": (False, False, "left_in_menu"),
    "to_1414": (False, False, "redirected"),
    "gave_up": (True, False, "left_waiting"),
    "gave_up_ringing": (True, False, "left_ringing"),
    "left_again": (True, True, "left_waiting"),  # given back to the queue after a talk
    "queue_to_1414": (True, False, "redirected"),
    "callback": (True, False, "callback"),
    "refused": (False, False, "lost_to_a_fault"),
    "only_counted": (False, False, None),  # refused, and without an appeal
    "talked": (True, True, "talked"),
    "live": (True, False, None),
}
CALLS = st.lists(
    st.builds(
        Generated,
        minute=st.integers(0, 50 * 24 * 60),
        second=st.integers(0, 59),
        number=st.sampled_from([None, 1, 2, 3]),
        end=st.sampled_from([*ENDS, "talked", "talked"]),
        wait=st.integers(0, 60),
        language=st.sampled_from(["", "", "nobody", "other"]),
    ),
    max_size=25,
)


async def save(connection: AsyncConnection, calls: Sequence[Generated]) -> list[UUID]:
    """Save them as the switch and its calls are; returns the ids of those that have an appeal."""
    if refused := Counter(map(refusal, filter(is_refused, calls))):
        await count_refused(connection, refused)
    with_appeal = [each for each in calls if each.end != "only_counted"]
    ids = [uuid4() for _ in with_appeal]
    appeals, events = [], []
    for n, (identity, call) in enumerate(zip(ids, with_appeal, strict=True)):
        waited, answered, outcome = ENDS[call.end]
        queued = call.at + timedelta(seconds=7)
        served = queued + timedelta(seconds=call.wait)
        moments = [("received", call.at)]
        if waited:
            moments.append(("waiting", queued))
            if call.language:
                moments.append(("nobody_speaks", queued))
            if call.language == "other":
                moments.append(("other_language", queued))
        if answered:
            moments.append(("connected", served))
        events += [
            {"appeal_id": identity, "seq": seq, "at": at, "kind": kind, "detail": {}}
            for seq, (kind, at) in enumerate(moments, start=1)
        ]
        if call.end == "gave_up":  # the center reached them later: no answer of this call
            events.append(
                {
                    "appeal_id": identity,
                    "seq": first_seq(1),
                    "at": served + timedelta(hours=1),
                    "kind": "connected",
                    "detail": {},
                }
            )
        appeals.append(
            {
                "id": identity,
                "number": f"{n:010}",
                "channel": "call",
                "call_id": f"{REFUSED_PREFIX if is_refused(call) else ''}{identity}",
                "caller_kind": "withheld" if call.number is None else "number",
                "caller_number": None if call.number is None else f"+7701000000{call.number}",
                "received_at": call.at,
                "ended_at": served if outcome else None,
                "outcome": outcome,
            }
        )
    if appeals:
        await connection.execute(insert(appeal), appeals)
        await connection.execute(insert(appeal_event), events)
    return ids


def is_refused(call: Generated) -> bool:
    return call.end in ("refused", "only_counted")


def refusal(call: Generated) -> tuple[datetime, str, int]:
    """The hour, the trunk and the status with which the switch counts it."""
    hour = call.at.astimezone(UTC).replace(minute=0, second=0)
    return hour, f"operator-{call.second % 2}", 488 if call.minute % 2 else 503


def count(every: Sequence[Generated]) -> CallFigures:
    """The figures of these calls, by hand."""
    calls = [each for each in every if each.end != "only_counted"]
    offered = [each for each in calls if ENDS[each.end][0]]
    answered = [each for each in offered if ENDS[each.end][1]]
    abandoned = [each for each in offered if each.end in ("gave_up", "gave_up_ringing")]
    unspoken = [each for each in offered if each.language]
    waits = sorted(timedelta(seconds=each.wait) for each in [*answered, *abandoned])

    def percentile(share: float) -> timedelta | None:
        return waits[max(ceil(share * len(waits)), 1) - 1] if waits else None

    return CallFigures(
        received=len(calls),
        offered=len(offered),
        answered=len(answered),
        in_time=sum(each.wait <= 20 for each in answered),
        abandoned=len(abandoned),
        redirected=sum(ENDS[each.end][2] == "redirected" for each in calls),
        not_honoured=len(unspoken),
        other_language=sum(each.language == "other" and ENDS[each.end][1] for each in unspoken),
        refused=sum(map(is_refused, every)),
        refused_with_appeal=sum(each.end == "refused" for each in calls),
        wait_median=percentile(0.5),
        wait_p95=percentile(0.95),
        wait_longest=waits[-1] if waits else None,
    )


def count_callers(every: Sequence[Generated], inside: Sequence[Generated]) -> CallerFigures:
    calls = [each for each in every if each.end != "only_counted"]
    numbered = [each for each in inside if each in calls and each.number is not None]
    first = [
        each
        for each in numbered
        if ENDS[each.end][1]
        and not any(
            ENDS[other.end][1] and other.number == each.number and before(other, each)
            for other in calls
        )
    ]
    helped = [
        each
        for each in first
        if not any(other.number == each.number and before(each, other) for other in calls)
    ]
    return CallerFigures(
        len({each.number for each in numbered}), len(numbered), len(first), len(helped)
    )


def before(one: Generated, other: Generated) -> bool:
    """Whether one came before the other, by a week at most."""
    return one.at < other.at <= one.at + WEEK


async def read(engine: AsyncEngine, period: Period) -> PeriodFigures:
    async with unit_of_work(engine) as connection:
        return await store.read_figures(connection, period, GOAL)


async def empty(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await connection.exec_driver_sql("DELETE FROM appeal_event")
        await connection.exec_driver_sql("DELETE FROM appeal")
        await connection.exec_driver_sql("DELETE FROM refused_call")


def sums(parts: Sequence[CallFigures]) -> dict[str, int]:
    return {
        field.name: sum(getattr(each, field.name) for each in parts)
        for field in fields(CallFigures)
        if field.type == "int" or field.type is int
    }


async def test_figures_are_those_counted_by_hand(engine: AsyncEngine) -> None:
    loop = asyncio.get_running_loop()

    async def counted(calls: Sequence[Generated]) -> PeriodFigures:
        async with unit_of_work(engine) as connection:
            await save(connection, calls)
        try:
            return await read(engine, OCTOBER)
        finally:
            await empty(engine)

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
    @given(CALLS)
    def compare(drawn: list[Generated]) -> None:
        # Two calls of one moment have no order.
        calls = list({(each.at, each.number): each for each in drawn}.values())
        month = asyncio.run_coroutine_threadsafe(counted(calls), loop).result(30)
        inside = [each for each in calls if OCTOBER.since <= each.at < OCTOBER.until]

        def of(key: Callable[[datetime], object]) -> dict[object, CallFigures]:
            keys = {key(each.at.astimezone(ZONE)) for each in inside}
            return {
                one: count([each for each in inside if key(each.at.astimezone(ZONE)) == one])
                for one in keys
            }

        assert month.total == count(inside)
        assert dict(month.days) == of(datetime.date)
        assert dict(month.hours) == of(lambda at: at.hour)
        assert month.callers == count_callers(calls, inside)
        # The sums of hours and of days are those of the month.
        assert sums(list(month.hours.values())) == sums([month.total])
        assert sums(list(month.days.values())) == sums([month.total])

    await asyncio.to_thread(compare)


async def test_hours_of_a_day_add_up_to_its_line(engine: AsyncEngine) -> None:
    calls = [
        Generated(10 * 1440 + hour * 60 + n, 0, n % 3, end, wait=n)
        for hour in (0, 9, 23)
        for n, end in enumerate(ENDS)
    ]
    calls += [Generated(11 * 1440, 0, 1, "talked", 3)]  # midnight, of the day after
    async with unit_of_work(engine) as connection:
        await save(connection, calls)
    month = await read(engine, OCTOBER)
    first = await read(engine, Period(date(2026, 10, 1), date(2026, 10, 1)))
    assert first.total == month.days[date(2026, 10, 1)] == count(calls[:-1])
    assert sums(list(first.hours.values())) == sums([first.total])
    assert set(first.hours) == {0, 9, 23}
    assert month.days[date(2026, 10, 2)].answered == 1


async def follow_up(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Have these calls be at risk, two of three with another call offered, half of those made."""
    query = update(appeal).where(appeal.c.id.in_(ids)).values(urgent=["danger"])
    await connection.execute(query)
    made = {"user_name": "-", "booked_by": "-", "due_at": OCTOBER.since, "booked_at": OCTOBER.since}
    for n, identity in enumerate(ids):
        if n % 3:
            ended = {"result": "reached", "ended_at": OCTOBER.since} if n % 3 == 1 else {}
            await connection.execute(
                insert(follow_up_call).values(id=uuid4(), appeal_id=identity, **made, **ended)
            )


async def test_each_figure_lists_as_many_appeals(engine: AsyncEngine) -> None:
    calls = [
        Generated(10 * 1440 + n * 700, 0, n % 4 or None, end, 9 * (n % 4), language)
        for n, (end, language) in enumerate(
            (end, language) for end in ENDS for language in ("", "nobody", "other")
        )
    ]
    async with unit_of_work(engine) as connection:
        ids = await save(connection, calls)
        await follow_up(connection, ids[:6])
        month = await store.read_figures(connection, OCTOBER, GOAL)
        assert month.follow_ups == FollowUpFigures(6, 4, 2)
        for measure in Measure:
            counts = (month.total, month.callers, month.follow_ups)
            [expected] = [getattr(each, measure) for each in counts if hasattr(each, measure)]
            listed = await store.list_calls(
                connection, CallSelection(measure, OCTOBER), GOAL, None, 100
            )
            assert (measure, len(listed)) == (measure, expected)
            assert expected
        at_nine = await store.list_calls(
            connection, CallSelection(Measure.RECEIVED, OCTOBER, hour=9), GOAL, None, 100
        )
        assert len(at_nine) == month.hours[9].received > 0
        newest = await store.list_calls(
            connection, CallSelection(Measure.RECEIVED, OCTOBER), GOAL, None, 2
        )
        older = await store.list_calls(
            connection,
            CallSelection(Measure.RECEIVED, OCTOBER),
            GOAL,
            (newest[-1].received_at, newest[-1].id),
            100,
        )
    assert [each.id for each in (*newest, *older)] == ids[::-1]


FILL = """
    INSERT INTO appeal (id, number, channel, call_id, caller_kind, caller_number, received_at,
        ended_at, outcome)
    SELECT md5('appeal' || n)::uuid, lpad(n::text, 10, '0'), 'call', 'call' || n, 'number',
        '+7701' || lpad((n::bigint * 7919 % (:calls * 2 / 3))::text, 7, '0'),
        :until - (:calls - n) * interval '365 days' / :calls,
        :until - (:calls - n) * interval '365 days' / :calls + interval '3 minutes',
        CASE WHEN n % 10 < 7 THEN 'talked' WHEN n % 10 = 7 THEN 'redirected' ELSE 'left_waiting' END
    FROM generate_series(1, :calls) AS n
"""
#: As many as a call has, in the order in which they came.
FILL_EVENTS = """
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT id, seq, received_at + seq * interval '3 seconds', kind, '{}'
    FROM appeal CROSS JOIN LATERAL unnest(ARRAY['received', 'answered', 'greeting', 'language',
        'notice', 'menu', 'waiting', 'ringing', 'connected', 'recording_started',
        'recording_stopped', 'ended']) WITH ORDINALITY AS of_call(kind, seq)
    WHERE outcome = 'talked' OR kind NOT IN ('connected', 'recording_started', 'recording_stopped')
    ORDER BY received_at, seq
"""


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_month_is_quick_in_a_big_register(engine: AsyncEngine, at_length: bool) -> None:
    calls = MANY if at_length else FEW
    async with unit_of_work(engine) as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        values = {"calls": calls, "until": datetime(2026, 11, 1, tzinfo=UTC)}
        await connection.execute(text(FILL), values)
        await connection.execute(text(FILL_EVENTS))
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM ANALYZE appeal, appeal_event"))
    taken = {}
    for name, period in (
        ("a day", Period(OCTOBER.last, OCTOBER.last)),
        ("a month", OCTOBER),
        ("a quarter", Period(date(2026, 8, 1), OCTOBER.last)),
    ):
        started = time.monotonic()
        figures = await read(engine, period)
        taken[name] = time.monotonic() - started
        print(f"{name} of {calls} calls in a year: {taken[name]:.2f} s")  # noqa: T201
        assert figures.total.received == pytest.approx(calls * len(period.days) / 365, abs=2)
        started = time.monotonic()
        async with unit_of_work(engine) as connection:
            selection = CallSelection(Measure.HELPED, period)
            assert await store.list_calls(connection, selection, GOAL, None, 51)
        print(f"  its list: {time.monotonic() - started:.2f} s")  # noqa: T201
    # What is read grows with the period, not with the register.
    assert taken["a month"] < LONGEST
