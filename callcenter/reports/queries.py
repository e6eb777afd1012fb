"""Read models of figures: those of a period, and the appeals that one of them counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.search.query import LIMIT
from callcenter.appeals.search.service import HitPage
from callcenter.consultants import state_history
from callcenter.consultants import store as consultants
from callcenter.platform.core import pagination
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.reports import store
from callcenter.reports.rules import ConsultantHours, Period, PeriodFigures, hours_of
from callcenter.reports.store import CallSelection
from callcenter.urgent_notifications.store import NotificationTimes, read_times


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a period, and the hours of consultants who worked in it, by extension."""

    period: Period
    figures: PeriodFigures
    urgent: NotificationTimes
    consultants: Sequence[ConsultantHours]


async def read_report(
    engine: AsyncEngine, settings: Settings, period: Period, now: datetime
) -> Report:
    """Read the figures of a period; of one that is not over, those until now."""
    async with unit_of_work(engine) as connection:
        figures = await store.read_figures(connection, period, settings.answer_goal)
        urgent = await read_times(connection, period.since, period.until)
        times = await state_history.times_of_everyone(
            connection, period.since, min(period.until, now)
        )
        names = {each.extension: each.name for each in await consultants.everyone(connection)}
    hours = [hours_of(each, names.get(each, ""), spent) for each, spent in sorted(times.items())]
    return Report(period, figures, urgent, [each for each in hours if each.at_work])


async def list_calls(
    engine: AsyncEngine, settings: Settings, actor: Actor, selection: CallSelection, after: str = ""
) -> HitPage:
    """List the appeals that a figure counts, with an entry in the audit log, a page at a time.

    `after` is the cursor of the page before. Raises InvalidRequest when it is not one of ours.
    """
    place = pagination.read(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await store.list_calls(connection, selection, settings.answer_goal, place, LIMIT + 1)
        await audit_action(
            connection,
            actor,
            AppealAction.APPEALS_SEARCHED,
            "appeals",
            {"figure": selection.measure.value, "found": len(rows)},
        )
    if len(rows) <= LIMIT:
        return HitPage(rows, None)
    last = rows[LIMIT - 1]
    return HitPage(rows[:LIMIT], pagination.write((last.received_at, last.id)))
