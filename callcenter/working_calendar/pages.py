"""Pages of the working calendar: its years, and the lines of one."""

from calendar import Calendar as WeekCalendar
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import WARN_BEFORE
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page
from callcenter.working_calendar import store
from callcenter.working_calendar.labels import FAULTS, KINDS
from callcenter.working_calendar.permissions import CalendarPermission
from callcenter.working_calendar.rules import FIRST_YEAR, LAST_YEAR, CalendarYear, WrongLine
from callcenter.working_calendar.service import enter_year

MONTHS = range(1, 13)

Year = Annotated[int, Path(ge=FIRST_YEAR, le=LAST_YEAR)]

router = APIRouter(
    include_in_schema=False, dependencies=[requires(CalendarPermission.MANAGE_CALENDAR)]
)


@router.get("/calendar")
async def years(request: Request, site: CurrentSite) -> Response:
    """The years that are entered, and until when terms can be counted."""
    today = datetime.now(ZONE).date()
    async with unit_of_work(site.engine) as connection:
        entered = await store.list_years(connection)
        ends_on = (await store.read_calendar(connection)).entered_until(today)
    return page(
        request,
        "working_calendar/years.html",
        years=entered,
        ends_on=ends_on,
        ends_soon=ends_on - today <= WARN_BEFORE,
        next_year=ends_on.year + 1,
    )


@router.get("/calendar/{year}")
async def one(request: Request, site: CurrentSite, year: Year) -> Response:
    """A year by months, and its lines to be corrected; a year to be entered has none yet."""
    return await _year(request, site, year)


@router.post("/calendar/{year}")
async def enter(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    year: Year,
    lines: Annotated[str, Form(max_length=50_000, pattern=NO_NUL)] = "",
) -> Response:
    """Enter the year, or show it again with the line that is wrong."""
    return await action(
        enter_year(site.engine, actor, year, lines.replace("\r\n", "\n")),
        f"/calendar/{year}",
        lambda refusal: _year(request, site, year, refusal),
    )


async def _year(
    request: Request, site: AppContext, year: int, refusal: InvalidRequest | None = None
) -> Response:
    async with unit_of_work(site.engine) as connection:
        stored = {each.year.year: each for each in await store.list_years(connection)}
    found = stored.get(year)
    wrong = refusal if isinstance(refusal, WrongLine) else None
    return page(
        request,
        "working_calendar/year.html",
        status=200 if refusal is None else status_of(refusal),
        year=year,
        stored=found,
        lines=found.year.to_text() if found else "",
        kinds=KINDS,
        months=[(month, _weeks(year, month)) for month in MONTHS],
        is_working=(found.year if found else CalendarYear(year, (), ())).is_working,
        names={each.day: each for each in found.year.off} if found else {},
        wrong=None if wrong is None else (wrong.number, FAULTS[wrong.fault]),
        is_refused=refusal is not None,
    )


def _weeks(year: int, month: int) -> list[list[date | None]]:
    """The weeks of a month from Monday on; None for days of the months beside it."""
    weeks = WeekCalendar().monthdatescalendar(year, month)
    return [[day if day.month == month else None for day in week] for week in weeks]
