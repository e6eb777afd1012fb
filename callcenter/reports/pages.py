"""Pages of figures: any days by day and hour, and the appeals behind each figure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.form import service as form_service
from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.web.search_pages import appeal_list, next_page
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.templating import page
from callcenter.reports import queries
from callcenter.reports.labels import ReportLabels
from callcenter.reports.permissions import ReportPermission
from callcenter.reports.rules import (
    DAYS_LIMIT,
    CallFigures,
    Measure,
    Period,
    check_period,
    last_month,
    last_week,
    yesterday,
)
from callcenter.reports.store import CallSelection

router = APIRouter(include_in_schema=False, dependencies=[requires(ReportPermission.VIEW_FIGURES)])


class PeriodForm(BaseModel):
    """The days of a page, as typed and in its address; without them it is yesterday."""

    since: date | Literal[""] = ""
    until: date | Literal[""] = ""

    def to_period(self, today: date) -> Period:
        """One day when only one is given. Raises InvalidRequest."""
        first, last = self.since or self.until, self.until or self.since
        return check_period(first, last, today) if first and last else yesterday(today)


class CallsForm(PeriodForm):
    """The figure whose appeals are listed."""

    measure: Measure = Measure.RECEIVED
    hour: Annotated[int, Field(ge=0, le=23)] | None = None
    after: Annotated[str, Field(max_length=40)] = ""


@router.get("/figures")
async def figures(
    request: Request, site: CurrentSite, form: Annotated[PeriodForm, Query()]
) -> Response:
    """Show the figures of a period."""
    now = datetime.now(UTC)
    today = now.astimezone(ZONE).date()
    try:
        period = form.to_period(today)
    except InvalidRequest:
        return _page(request, site, "reports/figures.html", today, typed=form, report=None)
    report = await queries.read_report(site.engine, site.settings, period, now)
    say = _labels(request, site)
    empty = CallFigures()
    days = [(each, report.figures.days.get(each, empty)) for each in period.days]
    hours = [(each, report.figures.hours.get(each, empty)) for each in range(24)]
    return _page(
        request,
        site,
        "reports/figures.html",
        today,
        typed=PeriodForm(since=period.first, until=period.last),
        report=report,
        days=days,
        hours=hours,
        plots_of_days=say.plots([(f"{day:%d.%m}", each) for day, each in days]),
        plots_of_hours=say.plots([(say.hour(hour), each) for hour, each in hours]),
    )


@router.get("/figures/calls")
async def calls(
    request: Request, site: CurrentSite, actor: CurrentActor, form: Annotated[CallsForm, Query()]
) -> Response:
    """List the appeals that a figure counts; audited. Raises InvalidRequest: no such period."""
    today = datetime.now(ZONE).date()
    period = form.to_period(today)
    selection = CallSelection(form.measure, period, form.hour)
    found = await queries.list_calls(site.engine, site.settings, actor, selection, form.after)
    words = RecordLabels(
        site.words[language_of(request)], await form_service.read_form(site.engine)
    )
    return _page(
        request,
        site,
        "reports/calls.html",
        today,
        selection=selection,
        rows=found.rows,
        more=next_page(request, found),
        listed=appeal_list(request, site, actor, words),
    )


def _labels(request: Request, site: AppContext) -> ReportLabels:
    return ReportLabels(site.words[language_of(request)], site.settings.service_level_seconds)


def _page(
    request: Request, site: AppContext, template: str, today: date, **values: Any
) -> Response:
    periods: Mapping[str, Period] = {
        "yesterday": yesterday(today),
        "week": last_week(today),
        "month": last_month(today),
    }
    return page(
        request,
        template,
        status=400 if values.get("report", values) is None else 200,
        say=_labels(request, site),
        periods=periods,
        today=today,
        limit=DAYS_LIMIT,
        **values,
    )
