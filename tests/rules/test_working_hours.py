"""Working hours of a body, and the moment at which something leaves for it (R11, R22)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.bodies.rules.opening_hours import DAYS
from callcenter.bodies.rules.working_hours import (
    OWN_DAYS_LIMIT,
    BodyHours,
    format_working_hours,
    parse_working_hours,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import (
    OFFICE_HOURS,
    CalendarYears,
    YearNotEntered,
    packaged_years,
    parse,
)
from callcenter.working_calendar.rules import read_year
from tests.calendars import PACKAGED

#: As the administrator will enter it: Kurban Ait is estimated, a Sunday is worked for 10 May.
ENTERED_2028 = """
2028-01-01; holiday; Жаңа жыл; Новый год
2028-01-02; holiday; Жаңа жыл; Новый год
2028-01-03; observed; Жаңа жыл; Новый год
2028-01-04; observed; Жаңа жыл; Новый год
2028-01-07; holiday; Рождество; Рождество
2028-03-08; holiday; Әйелдер күні; Женский день
2028-03-15; holiday; Конституция күні; День Конституции
2028-03-21; holiday; Наурыз; Наурыз
2028-03-22; holiday; Наурыз; Наурыз
2028-03-23; holiday; Наурыз; Наурыз
2028-05-01; holiday; Бірлік мерекесі; Праздник единства
2028-05-05; estimated; Құрбан айт; Курбан айт
2028-05-07; holiday; Отан қорғаушы күні; День защитника Отечества
2028-05-08; observed; Отан қорғаушы күні; День защитника Отечества
2028-05-09; holiday; Жеңіс күні; День Победы
2028-05-10; swap; Ауыстыру; Перенос
2028-05-14; worked
2028-07-06; holiday; Астана күні; День столицы
2028-10-25; holiday; Республика күні; День Республики
2028-12-16; holiday; Тәуелсіздік күні; День Независимости
2028-12-18; observed; Тәуелсіздік күні; День Независимости
"""
YEARS: CalendarYears = {**packaged_years(), "2028": read_year(2028, ENTERED_2028).to_json()}
CALENDAR = parse(YEARS)
DAY = timedelta(days=1)
FIRST, LAST = date(2024, 1, 1), date(2028, 12, 31)

USUAL = "Mo-Fr 09:00-13:00,14:30-18:30"
#: Until the middle of December: of what comes later no body may work before 2029.
moments = st.datetimes(
    datetime(2024, 1, 2), datetime(2028, 12, 10), timezones=st.sampled_from([UTC, ZONE])
)
clocks = st.integers(0, 24 * 60).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


@st.composite
def day_times(draw: st.DrawFn) -> str:
    edges = sorted(draw(st.sets(clocks, min_size=2, max_size=6)))
    return ",".join(f"{b}-{e}" for b, e in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def weeks(draw: st.DrawFn) -> str:
    """Hours that a week may have: any days, grouped as they come."""
    groups: dict[str, list[str]] = {}
    for day in draw(st.sets(st.sampled_from(DAYS), min_size=1)):
        groups.setdefault(draw(day_times()), []).append(day)
    return "; ".join(f"{','.join(days)} {times}" for times, days in groups.items())


@st.composite
def bodies_hours(draw: st.DrawFn) -> str:
    week = draw(st.sampled_from(["", USUAL, "24/7", "Mo-Sa 08:00-20:00"]) | weeks())
    own = draw(st.dictionaries(st.dates(FIRST, LAST), st.just("off") | day_times(), max_size=4))
    return "; ".join(filter(None, [week, *(f"{day} {times}" for day, times in own.items())]))


def works_at(moment: datetime, hours: str) -> bool:
    """Whether a body works, found by the words of its hours and the years as they are entered."""
    local = moment.astimezone(ZONE)
    parts = [each.strip() for each in hours.split(";") if each.strip()]
    own = {each[:10]: each[11:] for each in parts if each[0].isdecimal() and each != "24/7"}
    week = [each for each in parts if each[:10] not in own] or [USUAL]
    times: str | None = own.get(local.date().isoformat())
    if times is None and week == ["24/7"]:
        return True
    if times is None:
        by_day = {}
        for rule in week:
            days, _, of_days = rule.partition(" ")
            for part in days.split(","):
                first, _, last = part.partition("-")
                begin, end = DAYS.index(first), DAYS.index(last or first)
                by_day.update(dict.fromkeys(range(begin, end + 1), of_days))
        year = YEARS[str(local.year)]
        if local.date().isoformat() in {each["date"] for each in year["off"]}:
            return by_day == dict.fromkeys(range(7), "00:00-24:00")
        ordinary = by_day[min(by_day)] if local.date().isoformat() in year["worked"] else "off"
        times = by_day.get(local.weekday(), ordinary)
    clock = f"{local:%H:%M}"
    return times != "off" and any(
        span[6:] == "24:00" if local.fold else span[:5] <= clock < span[6:]
        for span in times.split(",")
    )


@given(moments, bodies_hours(), st.floats(0, 1))
@example(datetime(2024, 2, 29, 23, 30, tzinfo=ZONE, fold=1), "24/7", 0)
@example(datetime(2024, 5, 3, 20, tzinfo=ZONE), "", 0.5)  # before a Saturday that is worked
@example(datetime(2025, 1, 4, 12, tzinfo=ZONE), "Mo-Sa 08:00-20:00", 0.5)
@example(datetime(2026, 12, 31, 20, tzinfo=ZONE), "Sa 10:00-12:00", 0.5)
@example(datetime(2026, 1, 1, 12, tzinfo=ZONE), "Mo-Fr 00:00-24:00", 0.5)
@example(datetime(2026, 1, 1, 12, tzinfo=ZONE), "Mo-Fr 00:00-24:00; Sa,Su 00:00-24:00", 0.5)
def test_the_next_working_moment_of_a_body_is_its_first(
    at: datetime, hours: str, share: float
) -> None:
    moment = at.astimezone(UTC)
    body = parse_working_hours(hours)
    found = CALENDAR.next_working_moment(moment, body)
    assert found >= moment
    assert works_at(found, hours)
    assert found == moment or found.second == found.microsecond == 0  # the first minute
    assert CALENDAR.next_working_moment(found, body) == found
    before = moment + (found - moment) * share
    if before < found:
        assert not works_at(before, hours)
        assert CALENDAR.next_working_moment(before, body) == found


@pytest.mark.parametrize(
    ("hours", "ready", "leaves"),
    [
        ("", "2026-11-27T20:00", "2026-11-30T09:00"),  # Friday evening
        ("", "2026-11-30T13:00", "2026-11-30T14:30"),  # lunch
        ("", "2026-11-30T12:59", "2026-11-30T12:59"),
        ("Mo-Fr 07:30-16:00", "2026-11-27T20:00", "2026-11-30T07:30"),
        ("Mo-Th 09:00-18:30; Fr 09:00-12:00", "2026-11-27T12:00", "2026-11-30T09:00"),
        ("", "2024-05-03T20:00", "2024-05-04T09:00"),  # a Saturday that is worked
        ("Tu-Fr 10:00-18:00", "2024-05-03T20:00", "2024-05-04T10:00"),
        ("Mo-Sa 08:00-12:00", "2026-03-06T20:00", "2026-03-07T08:00"),
        ("Mo-Su 08:00-12:00", "2026-03-07T20:00", "2026-03-10T08:00"),  # 8 March, and its Monday
        ("24/7", "2026-01-01T03:00", "2026-01-01T03:00"),
        ("Mo-Fr 00:00-24:00; Sa,Su 00:00-24:00", "2026-01-01T03:00", "2026-01-01T03:00"),
        ("24/7; 2026-01-01 off", "2026-01-01T03:00", "2026-01-02T00:00"),
        (f"{USUAL}; 2026-11-30 off", "2026-11-27T20:00", "2026-12-01T09:00"),
        ("2026-11-28 10:00-12:00", "2026-11-27T20:00", "2026-11-28T10:00"),
        ("", "2028-05-05T10:00", "2028-05-11T09:00"),
        ("", "2028-05-13T10:00", "2028-05-14T09:00"),  # a Sunday that is worked
    ],
)
def test_what_comes_outside_hours_leaves_when_they_begin(
    hours: str, ready: str, leaves: str
) -> None:
    ready_at, leaves_at = (
        datetime.fromisoformat(each).replace(tzinfo=ZONE) for each in (ready, leaves)
    )
    assert CALENDAR.next_working_moment(ready_at, parse_working_hours(hours)) == leaves_at


def test_a_year_that_is_not_entered_is_no_working_time() -> None:
    ready_at = datetime(2027, 12, 31, 20, tzinfo=ZONE)
    with pytest.raises(YearNotEntered, match="2028"):
        PACKAGED.next_working_moment(ready_at, BodyHours())
    around_the_clock = parse_working_hours("24/7")
    assert PACKAGED.next_working_moment(ready_at + DAY, around_the_clock) == ready_at + DAY


def test_a_body_without_hours_has_those_of_the_state() -> None:
    for day in (FIRST + n * DAY for n in range((LAST - FIRST).days)):
        assert BodyHours().spans_on(day, CALENDAR) == OFFICE_HOURS.spans_on(day, CALENDAR)


@given(bodies_hours())
def test_working_hours_are_read_as_they_are_written(hours: str) -> None:
    stored = format_working_hours(parse_working_hours(hours))
    assert parse_working_hours(stored) == parse_working_hours(hours)
    assert format_working_hours(parse_working_hours(stored)) == stored


@pytest.mark.parametrize(
    "wrong",
    [
        "9-18",
        "2026-02-30 off",
        "2026-12-31",
        "2026-12-31 closed",
        "2026-12-31 18:00-09:00",
        "2026-12-31 off; 2026-12-31 09:00-13:00",
        "31.12.2026 off",
        "24/7; Mo-Fr 09:00-18:00",
        "; ".join(f"{FIRST + n * DAY} off" for n in range(OWN_DAYS_LIMIT + 1)),
    ],
)
def test_working_hours_that_cannot_be_meant_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_working_hours(wrong)
