"""The working calendar: its data, and terms that are counted in it."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.platform.core import working_calendar
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import (
    OFFICE_HOURS,
    DayKind,
    Hours,
    YearNotEntered,
    parse,
)
from tests.calendars import PACKAGED

CALENDAR = PACKAGED
YEARS = range(2024, 2028)
DAY = timedelta(days=1)
EVERY_DAY = [date(2024, 1, 1) + n * DAY for n in range((date(2028, 1, 1) - date(2024, 1, 1)).days)]

ENTERED = json.loads(
    Path(working_calendar.__file__).with_suffix(".json").read_text(encoding="utf-8")
)

days = st.dates(date(2024, 1, 1), date(2027, 6, 1))
moments = st.datetimes(
    datetime(2024, 1, 2), datetime(2027, 6, 1), timezones=st.sampled_from([UTC, ZONE])
)
counts = st.integers(1, 40)
lengths = st.timedeltas(timedelta(microseconds=1), timedelta(hours=200))


@st.composite
def all_hours(draw: st.DrawFn) -> Hours:
    # Nobody's hours begin or end in the second of two hours of the same name.
    clock = st.times().map(lambda each: each.replace(fold=0))
    edges = draw(st.sets(clock, min_size=2, max_size=6).map(sorted))
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
def test_a_weekend_holiday_moves_unless_it_never_does(
    year: int,
) -> None:
    off = {date.fromisoformat(each["date"]): each for each in ENTERED[str(year)]["off"]}
    moved = [
        day
        for day, each in off.items()
        if each["kind"] == DayKind.HOLIDAY
        and day.weekday() >= 5
        and (day.month, day.day) != (1, 7)
        and "Құрбан" not in each["kk"]
    ]
    observed = [day for day, each in off.items() if each["kind"] == DayKind.OBSERVED]
    assert len(observed) == len(moved)
    assert all(any(timedelta(0) < day - from_ < 5 * DAY for from_ in moved) for day in observed)
    swaps = [day for day, each in off.items() if each["kind"] == DayKind.SWAP]
    worked = [
        d for d in EVERY_DAY if d.year == year and d.weekday() >= 5 and CALENDAR.is_working(d)
    ]
    assert len(swaps) == len(worked)


def test_the_new_constitution_day_replaces_the_old_one() -> None:
    assert not CALENDAR.is_working(date(2025, 9, 1))
    assert CALENDAR.is_working(date(2026, 8, 31))
    assert not CALENDAR.is_working(date(2027, 3, 15))


def test_every_day_off_has_its_name_in_both_languages() -> None:
    named = [each for year in ENTERED.values() for each in year["off"]]
    assert len(named) > 70
    assert all(each["kk"] and each["ru"] for each in named)


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


@given(moments, lengths, all_hours() | st.just(OFFICE_HOURS))
def test_a_term_in_hours_has_that_much_working_time(
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
@example(datetime(2024, 2, 29, 23, tzinfo=ZONE), Hours(((time(0), time(23)),)))
@example(datetime(2024, 2, 29, 23, tzinfo=ZONE, fold=1), Hours(((time(0), time(23)),)))
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
    assert CALENDAR.add_hours(at(begun), timedelta(hours=hours), OFFICE_HOURS) == at(over)


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
def test_late_arrivals_are_registered_on_the_next_working_day(
    arrived: str, registered: str
) -> None:
    moment = at(arrived).astimezone(UTC)
    assert CALENDAR.registered_on(moment, OFFICE_HOURS) == date.fromisoformat(registered)


def test_the_day_is_almatys_before_the_clock_change_too() -> None:
    assert CALENDAR.registered_on(datetime(2024, 2, 29, 18, 30, tzinfo=UTC), OFFICE_HOURS) == date(
        2024, 3, 1
    )
    assert CALENDAR.registered_on(datetime(2024, 3, 4, 18, 30, tzinfo=UTC), OFFICE_HOURS) == date(
        2024, 3, 5
    )
    assert CALENDAR.end_of(date(2024, 2, 29), OFFICE_HOURS) == datetime(
        2024, 2, 29, 12, 30, tzinfo=UTC
    )
    assert CALENDAR.end_of(date(2024, 3, 1), OFFICE_HOURS) == datetime(
        2024, 3, 1, 13, 30, tzinfo=UTC
    )


def test_the_calendar_ends_before_its_first_missing_year() -> None:
    with_gap = parse({year: {"off": [], "worked": []} for year in ("2026", "2028")})
    assert with_gap.entered_until(date(2026, 5, 1)) == date(2026, 12, 31)
    assert with_gap.entered_until(date(2027, 5, 1)) == date(2026, 12, 31)
    assert with_gap.entered_until(date(2028, 5, 1)) == date(2028, 12, 31)


def test_a_missing_year_is_reported_and_never_guessed() -> None:
    with pytest.raises(YearNotEntered, match="2028"):
        CALENDAR.add_days(date(2027, 12, 30), 5)
    with pytest.raises(YearNotEntered, match="2023"):
        CALENDAR.is_working(date(2023, 12, 31))
    with pytest.raises(YearNotEntered, match="2028"):
        CALENDAR.add_hours(at("2027-12-31T12:00"), timedelta(hours=8), OFFICE_HOURS)


def test_moments_without_a_time_zone_and_empty_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CALENDAR.add_hours(datetime(2026, 11, 24), timedelta(hours=1), OFFICE_HOURS)
    with pytest.raises(ValueError, match="length"):
        CALENDAR.add_hours(at("2026-11-24T10:00"), timedelta(0), OFFICE_HOURS)
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
        [],
        {"year": {"off": [], "worked": []}},
        {"2026": []},
        {"2026": {"off": []}},
        {"2026": {"off": [OFF, OFF], "worked": []}},
        {"2027": {"off": [OFF], "worked": []}},
        {"2026": {"off": [OFF | {"kind": "feast"}], "worked": []}},
        {"2026": {"off": [OFF | {"date": "1 January"}], "worked": []}},
        {"2026": {"off": [], "worked": ["2026-01-05"]}},  # a Monday
        {"2026": {"off": [OFF | {"date": "2026-01-03"}], "worked": ["2026-01-03"]}},
    ],
)
def test_a_calendar_that_cannot_be_right_is_refused(content: Any) -> None:
    with pytest.raises(InvalidRequest, match="the working calendar"):
        parse(content)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_any_content_is_a_calendar_or_is_refused(content: Any) -> None:
    with suppress(InvalidRequest):
        parse(content)
