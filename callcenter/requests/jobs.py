"""Jobs of requests: when they leave, and the answers of bodies that are late by now."""

import logging
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.requests import departures, service

log = logging.getLogger(__name__)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="requests.depart", pass_context=True, queueing_lock="requests.depart")
async def departures_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `departures.watch_departures` every minute."""
    tools = tools_of(context)
    await departures.watch_departures(tools.engine, tools.settings, datetime.now(UTC))


@jobs.periodic(cron="10 * * * *")
@jobs.task(name="requests.mark_late", pass_context=True, queueing_lock="requests.mark_late")
async def late_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `service.mark_late` every hour: what was not marked at midnight is marked then."""
    marked = await service.mark_late(
        tools_of(context).engine, datetime.now(UTC).astimezone(ZONE).date()
    )
    if marked:
        log.warning("requests overdue: %s more", marked)
