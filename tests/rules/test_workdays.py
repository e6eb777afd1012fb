"""The working calendar: its data, and terms that are counted in it."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.errors import AskedWrongly
from callcenter.workdays.calendar import (
    USUAL,
    ZONE,
    Hours,
    Kind,
    YearNotEntered,
    parse,
    state_calendar,
)

CALENDAR = state_calendar()
YEARS = range(2024, 2028)
DAY = timedelta(days=1)
EVERY_DAY = [date(2024, 1, 1) + n * DAY for n in range((date(2028, 1, 1) - date(2024, 1, 1)).days)]

days = st.dates(date(2024, 1, 1), date(2027, 6, 1))
moments = st.datetimes(
    datetime(2024, 1, 2), datetime(2027, 6, 1), timezones=st.sampled_from([UTC, ZONE])
)
counts = st.integers(1, 40)
lengths = st.timedeltas(timedelta(microseconds=1), timedelta(hours=200))


@st.composite
def all_hours(draw: st.DrawFn) -> Hours:
    edges = draw(st.sets(st.times(), min_size=2, max_size=6).map(sorted))
    return Hours(tuple(zip(edges[::2], edges[1::2], strict=False)))


def at(text: str) -> datetime:
    """A moment of Asia/Almaty."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("registered", "count", "last"),
    [
        ("2026-02-02", 15, "2026-02-23"),
        ("2026-02-02", 20, "2026-03-02"),
        ("2026-03-06", 15, "2026-04-02"),  # Nauryz
        ("2026-04-24", 15, "2026-05-20"),  # the days of May
        ("2026-12-10", 15, "2027-01-05"),  # over the end of a year
        ("2025-12-30", 3, "2026-01-06"),
        ("2024-05-03", 1, "2024-05-04"),  # a Saturday that was worked for 8 May
        ("2025-01-03", 1, "2025-01-05"),  # a Sunday
    ],
)
def test_terms_end_on_the_days_that_lawyers_count(registered: str, count: int, last: str) -> None:
    assert CALENDAR.add_days(date.fromisoformat(registered), count) == date.fromisoformat(last)


@pytest.mark.parametrize("year", YEARS)
def test_each_holiday_at_a_weekend_gives_another_day_off_but_for_those_never_moved(
    year: int,
) -> None:
    off = {day: each for day in EVERY_DAY if day.year == year and (each := CALENDAR.day_off(day))}
    moved = [
        day
        for day, each in off.items()
        if each.kind is Kind.HOLIDAY
        and day.weekday() >= 5
        and (day.month, day.day) != (1, 7)
        and "Құрбан" not in each.kk
    ]
    observed = [day for day, each in off.items() if each.kind is Kind.OBSERVED]
    assert len(observed) == len(moved)
    assert all(any(timedelta(0) < day - from_ < 5 * DAY for from_ in moved) for day in observed)
    swaps = [day for day, each in off.items() if each.kind is Kind.SWAP]
    worked = [
        d for d in EVERY_DAY if d.year == year and d.weekday() >= 5 and CALENDAR.is_working(d)
    ]
    assert len(swaps) == len(worked)


def test_the_new_day_of_the_constitution_took_the_place_of_the_old_one() -> None:
    assert not CALENDAR.is_working(date(2025, 9, 1))
    assert CALENDAR.is_working(date(2026, 8, 31))
    assert not CALENDAR.is_working(date(2027, 3, 15))


def test_every_day_off_has_its_name_in_both_languages() -> None:
    named = [each for day in EVERY_DAY if (each := CALENDAR.day_off(day))]
    assert len(named) > 70
    assert all(each.kk and each.ru for each in named)


@given(days, counts)
def test_a_term_has_as_many_working_days_as_it_says(day: date, count: int) -> None:
    last = CALENDAR.add_days(day, count)
    passed = [day + n * DAY for n in range(1, (last - day).days + 1)]
    assert sum(map(CALENDAR.is_working, passed)) == count
    assert CALENDAR.is_working(last)


@given(days, counts, counts)
def test_a_term_after_a_term_is_the_sum_of_both(day: date, one: int, other: int) -> None:
    assert CALENDAR.add_days(CALENDAR.add_days(day, one), other) == CALENDAR.add_days(
        day, one + other
    )


@given(moments, lengths, all_hours() | st.just(USUAL))
def test_a_term_in_hours_has_as_much_working_time_as_it_says(
    moment: datetime, length: timedelta, hours: Hours
) -> None:
    length = min(
        length, 40 * CALENDAR.working_time(at("2026-11-24T00:00"), at("2026-11-25T00:00"), hours)
    )
    end = CALENDAR.add_hours(moment, length, hours)
    assert end.tzinfo is UTC
    assert CALENDAR.working_time(moment, end, hours) == length
    assert CALENDAR.working_time(moment, end - timedelta(microseconds=1), hours) < length


@given(moments, all_hours())
def test_the_next_working_moment_is_one_and_nobody_works_before(
    moment: datetime, hours: Hours
) -> None:
    found = CALENDAR.next_working_moment(moment, hours)
    local = found.astimezone(ZONE)
    assert found >= moment
    assert CALENDAR.is_working(local.date())
    assert any(first <= local.time() < last for first, last in hours.spans)
    assert CALENDAR.working_time(moment, found, hours) == timedelta(0)
    assert CALENDAR.next_working_moment(found, hours) == found


@pytest.mark.parametrize(
    ("begun", "hours", "over"),
    [
        ("2026-11-24T10:00", 2, "2026-11-24T12:00"),
        ("2026-11-24T12:00", 2, "2026-11-24T15:30"),  # over lunch
        ("2026-11-24T10:00", 3, "2026-11-24T13:00"),  # to the end of the morning, not after lunch
        ("2026-11-27T18:00", 1, "2026-11-30T09:30"),  # over a weekend
        ("2026-11-28T03:00", 8, "2026-11-30T18:30"),
        ("2026-12-31T18:30", 1, "2027-01-05T10:00"),
    ],
)
def test_hours_are_counted_while_people_work(begun: str, hours: int, over: str) -> None:
    assert CALENDAR.add_hours(at(begun), timedelta(hours=hours), USUAL) == at(over)


@pytest.mark.parametrize(
    ("arrived", "registered"),
    [
        ("2026-11-24T04:00", "2026-11-24"),  # before the hours, but on a working day
        ("2026-11-24T18:30", "2026-11-24"),
        ("2026-11-24T18:30:01", "2026-11-25"),
        ("2026-11-27T23:59", "2026-11-30"),
        ("2026-11-28T12:00", "2026-11-30"),
        ("2026-12-31T19:00", "2027-01-05"),
    ],
)
def test_what_arrives_late_or_on_a_day_off_is_registered_on_the_next_working_day(
    arrived: str, registered: str
) -> None:
    moment = at(arrived).astimezone(UTC)
    assert CALENDAR.registered_on(moment, USUAL) == date.fromisoformat(registered)


def test_the_day_is_that_of_almaty_also_before_the_clocks_were_changed() -> None:
    assert CALENDAR.registered_on(datetime(2024, 2, 29, 18, 30, tzinfo=UTC), USUAL) == date(
        2024, 3, 1
    )
    assert CALENDAR.registered_on(datetime(2024, 3, 4, 18, 30, tzinfo=UTC), USUAL) == date(
        2024, 3, 5
    )
    assert CALENDAR.end_of(date(2024, 2, 29), USUAL) == datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    assert CALENDAR.end_of(date(2024, 3, 1), USUAL) == datetime(2024, 3, 1, 13, 30, tzinfo=UTC)


def test_a_year_that_is_not_entered_is_told_and_never_guessed() -> None:
    with pytest.raises(YearNotEntered, match="2028"):
        CALENDAR.add_days(date(2027, 12, 30), 5)
    with pytest.raises(YearNotEntered, match="2023"):
        CALENDAR.is_working(date(2023, 12, 31))
    with pytest.raises(YearNotEntered, match="2028"):
        CALENDAR.add_hours(at("2027-12-31T12:00"), timedelta(hours=8), USUAL)


def test_moments_without_a_time_zone_and_empty_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CALENDAR.add_hours(datetime(2026, 11, 24), timedelta(hours=1), USUAL)
    with pytest.raises(ValueError, match="length"):
        CALENDAR.add_hours(at("2026-11-24T10:00"), timedelta(0), USUAL)
    with pytest.raises(ValueError, match="one working day"):
        CALENDAR.add_days(date(2026, 11, 24), 0)


@pytest.mark.parametrize(
    "spans",
    [
        (),
        ((time(9), time(9)),),
        ((time(18), time(9)),),
        ((time(9), time(13)), (time(12), time(18))),
        ((time(14), time(18)), (time(9), time(13))),
    ],
)
def test_hours_that_are_none_are_refused(spans: tuple[tuple[time, time], ...]) -> None:
    with pytest.raises(ValueError, match="in order"):
        Hours(spans)


OFF = {"date": "2026-01-01", "kind": "holiday", "kk": "Жаңа жыл", "ru": "Новый год"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"year": {"off": [], "worked": []}}',
        '{"2026": []}',
        '{"2026": {"off": []}}',
        json.dumps({"2026": {"off": [OFF, OFF], "worked": []}}),
        json.dumps({"2027": {"off": [OFF], "worked": []}}),
        json.dumps({"2026": {"off": [OFF | {"kind": "feast"}], "worked": []}}),
        json.dumps({"2026": {"off": [OFF | {"date": "1 January"}], "worked": []}}),
        json.dumps({"2026": {"off": [], "worked": ["2026-01-05"]}}),  # a Monday
        json.dumps({"2026": {"off": [OFF | {"date": "2026-01-03"}], "worked": ["2026-01-03"]}}),
    ],
)
def test_a_calendar_that_cannot_be_right_is_refused(content: str) -> None:
    with pytest.raises(AskedWrongly, match="the working calendar"):
        parse(content)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_calendar_or_is_refused(text: str) -> None:
    with suppress(AskedWrongly):
        parse(text)
