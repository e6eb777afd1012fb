"""Years of the working calendar, in PostgreSQL: those of the version, unless entered anew."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.working_calendar import Calendar, packaged_years, parse
from callcenter.working_calendar.rules import CalendarYear
from callcenter.working_calendar.tables import calendar_year


@dataclass(frozen=True, slots=True)
class StoredYear:
    """A year in force; `author` and `at` are None for one that came with the version."""

    year: CalendarYear
    version: int
    author: str | None
    at: datetime | None


async def list_years(connection: AsyncConnection) -> list[StoredYear]:
    """The years in force, in order."""
    years = {
        int(name): StoredYear(CalendarYear.of_json(int(name), content), 0, None, None)
        for name, content in packaged_years().items()
    }
    years |= {
        row.year: StoredYear(
            CalendarYear.of_json(row.year, _content(row)), row.version, row.author, row.at
        )
        for row in await _newest(connection)
    }
    return [years[year] for year in sorted(years)]


async def read_calendar(connection: AsyncConnection) -> Calendar:
    """The calendar in force: by it terms are counted."""
    entered = {str(row.year): _content(row) for row in await _newest(connection)}
    return parse({**packaged_years(), **entered})


async def add_version(connection: AsyncConnection, year: CalendarYear, *, author: str) -> int:
    """Enter a year, or correct it; returns its version. What was in force before stays stored."""
    newest = select(func.coalesce(func.max(calendar_year.c.version), 0) + 1).where(
        calendar_year.c.year == year.year
    )
    content = year.to_json()
    version: int = (
        await connection.execute(
            insert(calendar_year)
            .values(
                year=year.year,
                version=newest.scalar_subquery(),
                off=content["off"],
                worked=content["worked"],
                author=author,
            )
            .returning(calendar_year.c.version)
        )
    ).scalar_one()
    return version


async def _newest(connection: AsyncConnection) -> list[Row[Any]]:
    newest = (
        select(calendar_year)
        .ext(distinct_on(calendar_year.c.year))
        .order_by(calendar_year.c.year, calendar_year.c.version.desc())
    )
    return list(await connection.execute(newest))


def _content(row: Row[Any]) -> dict[str, Any]:
    return {"off": row.off, "worked": row.worked}
