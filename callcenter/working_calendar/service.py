"""Service of the working calendar: enter and correct its years, with audit entries."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.working_calendar import store
from callcenter.working_calendar.actions import CalendarAction
from callcenter.working_calendar.rules import read_year


async def enter_year(engine: AsyncEngine, actor: Actor, year: int, text: str) -> None:
    """Enter a year, or correct it, from the lines of `rules.read_year`.

    Terms that were counted before stay as they are. Raises InvalidRequest, and then nothing is
    changed.
    """
    entered = read_year(year, text)
    async with unit_of_work(engine) as connection:
        version = await store.add_version(connection, entered, author=actor.who)
        await store.read_calendar(connection)  # raises when the years do not fit together
        await audit_action(
            connection,
            actor,
            CalendarAction.YEAR_ENTERED,
            f"calendar:{year}",
            {"version": version, "off": len(entered.off), "worked": len(entered.worked)},
        )
