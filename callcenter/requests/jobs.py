"""Jobs of requests: when they leave, and the answers of bodies that are late by now."""

import logging
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.requests import departures, service

log = logging.getLogger(__name__)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="requests.depart", pass_context=True, queueing_lock="requests.depart")
async def departures_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Plan departures anew and alert of late ones, every minute."""
    tools, now = tools_of(context), datetime.now(UTC)
    await departures.plan_departures(tools.engine, now)
    async with open_redis(tools.settings) as redis:
        await departures.alert_of_late_departures(tools.engine, redis, now)


@jobs.periodic(cron="10 * * * *")
@jobs.task(name="requests.mark_late", pass_context=True, queueing_lock="requests.mark_late")
async def late_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `service.mark_late` every hour: what was not marked at midnight is marked then."""
    marked = await service.mark_late(
        tools_of(context).engine, datetime.now(UTC).astimezone(ZONE).date()
    )
    if marked:
        log.warning("requests overdue: %s more", marked)
