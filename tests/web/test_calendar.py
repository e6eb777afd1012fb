"""Years of the working calendar are entered and corrected on a page, and terms follow."""

import re
from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.form.store import read_law
from callcenter.appeals.jobs import alert_of_calendar
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.working_calendar import DayKind, YearNotEntered
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.working_calendar import store
from callcenter.working_calendar.rules import (
    CalendarYear,
    DayOff,
    LineFault,
    WrongLine,
    read_year,
)
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.test_users import actions, send
from tests.web.test_work_lists import alerts

NEW_YEAR = "2028-01-03; observed; Жаңа жыл; Новый год"
YEAR = f"{NEW_YEAR}\r\n\r\n2028-03-08\tholiday\tӘйелдер күні\tЖенский день\r\n2028-01-08; worked"


async def is_working(engine: AsyncEngine, day: date) -> bool:
    async with unit_of_work(engine) as connection:
        return (await store.read_calendar(connection)).is_working(day)


async def test_a_year_is_entered_and_terms_reach_into_it(engine: AsyncEngine, enter: Enter) -> None:
    friday = date(2027, 12, 31)
    with pytest.raises(YearNotEntered):
        await is_working(engine, date(2028, 1, 4))
    async with enter(Role.ADMINISTRATOR) as admin:
        assert "2028" in visible((await admin.get("/calendar")).text)
        assert (await admin.get("/calendar/2028")).status_code == 200
        assert (await send(admin, "/calendar/2028", lines=YEAR)).status_code == 303
        page = (await admin.get("/calendar/2028")).text
    assert "Жаңа жыл" in page
    async with unit_of_work(engine) as connection:
        calendar = (await read_law(connection)).calendar
    # The third is off, and the Saturday after it is worked.
    assert calendar.add_days(friday, 1) == date(2028, 1, 4)
    assert calendar.add_days(date(2028, 1, 7), 1) == date(2028, 1, 8)
    assert calendar.entered_until(friday) == date(2028, 12, 31)
    assert (await actions(engine))[-1] == "web:calendar:year_entered"


async def test_a_year_of_the_version_is_corrected(engine: AsyncEngine, enter: Enter) -> None:
    """Kurban Ait was announced for another day than was expected."""
    expected, announced = date(2027, 5, 17), date(2027, 5, 18)
    assert await is_working(engine, announced)
    async with enter(Role.HEAD) as head:
        page = (await head.get("/calendar/2027")).text
        lines = re.search(r"<textarea[^>]*>([^<]*)", page)
        assert lines is not None
        moved = f"{lines[1]}\n{announced}; swap; Құрбан айт; Курбан-айт"
        assert (await send(head, "/calendar/2027", lines=moved)).status_code == 303
        again = re.search(r"<textarea[^>]*>([^<]*)", (await head.get("/calendar/2027")).text)
    assert again is not None
    assert sorted(again[1].split("\n")) == sorted(moved.split("\n"))
    assert not await is_working(engine, announced)
    assert await is_working(engine, date(2026, 11, 27))  # other years stay
    assert expected.year == announced.year


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2028-02-30; holiday; a; b", LineFault.DATE),
        ("2027-03-08; holiday; a; b", LineFault.DATE),
        ("8 марта; holiday; a; b", LineFault.DATE),
        ("2028-03-08; feast; a; b", LineFault.KIND),
        ("2028-03-08; holiday; a", LineFault.PARTS),
        ("2028-03-08; holiday; a; ", LineFault.PARTS),
        ("2028-03-08", LineFault.PARTS),
        ("2028-01-03; holiday; a; b", LineFault.TWICE),
        ("2028-01-04; worked", LineFault.WEEKDAY),
    ],
)
async def test_a_wrong_line_is_named_and_nothing_is_saved(
    engine: AsyncEngine, enter: Enter, line: str, fault: LineFault
) -> None:
    with pytest.raises(WrongLine) as wrong:
        read_year(2028, f"{NEW_YEAR}\n{line}")
    assert (wrong.value.number, wrong.value.fault) == (2, fault)
    async with enter(Role.ADMINISTRATOR) as admin:
        refused = await send(admin, "/calendar/2028", lines=f"{NEW_YEAR}\n{line}")
        assert refused.status_code == 400
        assert 'aria-invalid="true"' in refused.text
        assert line.strip() in refused.text  # what was typed stays
        for year in ("1999", "2101", "x"):
            assert (await send(admin, f"/calendar/{year}", lines="")).status_code in (400, 404, 422)
    assert "web:calendar:year_entered" not in await actions(engine)


async def test_an_entered_year_ends_the_alert(
    engine: AsyncEngine, redis: Redis, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        await send(admin, "/calendar/2028", lines=YEAR)
    await alert_of_calendar(engine, redis, date(2027, 12, 1))
    assert (await alerts(redis)).get("calendar_ends", 0) == 0


@given(st.text(max_size=200))
def test_any_text_is_a_year_or_is_refused(text: str) -> None:
    with suppress(InvalidRequest):
        assert read_year(2028, text).year == 2028


names = st.text("абвәқ -", min_size=1, max_size=20).map(str.strip).filter(bool)
days = st.dates(date(2028, 1, 1), date(2028, 12, 31))


@given(st.dictionaries(days, st.tuples(st.sampled_from(DayKind), names, names)), st.sets(days))
def test_a_year_is_read_as_it_is_written(
    off: dict[date, tuple[DayKind, str, str]], weekend: set[date]
) -> None:
    year = CalendarYear(
        2028,
        tuple(DayOff(day, *off[day]) for day in sorted(off)),
        tuple(sorted(each for each in weekend if each.weekday() > 4 and each not in off)),
    )
    assert read_year(2028, year.to_text()) == year
    assert CalendarYear.of_json(2028, year.to_json()) == year
    day = date(2028, 1, 1)
    while day.year == 2028:
        is_off = day in off or (day.weekday() > 4 and day not in year.worked)
        assert year.is_working(day) is not is_off
        day += timedelta(days=1)
