"""Departures of requests: planned anew while they wait, and alerts about late ones."""

import logging
from datetime import datetime

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bodies.rules.working_hours import read_stored_hours
from callcenter.bodies.store import read_working_hours
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.monitoring.alerts import close_settled, forget_alerts, raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.requests import store
from callcenter.requests.alerts import NOTICE_LATE, REQUEST_WAITS, URGENT_REQUEST_WAITS
from callcenter.requests.rules.departure import is_departure_late, plan_departure
from callcenter.working_calendar.store import read_calendar

log = logging.getLogger(__name__)


async def watch_departures(engine: AsyncEngine, settings: Settings, now: datetime) -> None:
    """Plan departures anew, and alert of late ones though that fails.

    Raises as `alert_of_late_departures`, and whatever planning met.
    """
    try:
        await plan_departures(engine, now)
    finally:
        async with open_redis(settings) as redis:
            await alert_of_late_departures(engine, redis, now)


async def plan_departures(engine: AsyncEngine, now: datetime) -> None:
    """Plan anew when waiting requests leave: one became urgent, or hours or calendar changed.

    One whose moment has come stays due, and one that could never be planned is due too.
    """
    async with unit_of_work(engine) as connection:
        waiting = await store.lock_waiting(connection, now)
        if not waiting:
            return
        calendar = await read_calendar(connection)
        hours = await read_working_hours(connection, {row.body for row in waiting})
        for row in waiting:
            try:
                leaves_at = plan_departure(
                    now,
                    is_urgent=row.is_urgent,
                    hours=read_stored_hours(hours[row.body]),
                    calendar=calendar,
                )
            except YearNotEntered as exc:
                log.error("departure not planned anew: request %s: %s", row.id, exc)
                continue
            if leaves_at != row.leaves_at:
                log.info("departure planned anew: request %s at %s", row.id, leaves_at.isoformat())
                await store.put_departure(connection, row.id, leaves_at)


async def alert_of_late_departures(engine: AsyncEngine, redis: Redis, now: datetime) -> None:
    """Raise an alert for each request that nobody hands over, or has its applicant know of.

    Those of the others are closed. Of a notice it is raised once it is a day late.

    Raises DependencyUnavailable, SQLAlchemyError, RedisError: the next minute tries again.
    """
    async with unit_of_work(engine) as connection:
        due = await store.list_due(connection, now)
        late_notices = await store.list_late_notices(connection, now.astimezone(ZONE).date())
    # What nobody planned is late: planning comes before, and failed.
    late = [
        row
        for row in due
        if row.leaves_at is None
        or row.leaves_at > now
        or is_departure_late(row.leaves_at, now, is_urgent=row.is_urgent)
    ]
    # What was ordinary meanwhile is late anew once it is urgent, though somebody acknowledged it.
    of_other_kind = [
        f"{(REQUEST_WAITS if row.is_urgent else URGENT_REQUEST_WAITS).key}:{row.id}:{row.version}"
        for row in due
    ]
    await forget_alerts(redis, of_other_kind)
    # What was taken back and is ready again is another one too.
    ready = {
        is_urgent: {
            f"{row.id}:{row.version}": row.number for row in late if row.is_urgent is is_urgent
        }
        for is_urgent in (True, False)
    }
    for kind, numbers in (
        (URGENT_REQUEST_WAITS, ready[True]),
        (REQUEST_WAITS, ready[False]),
        (NOTICE_LATE, {str(row.id): row.number for row in late_notices}),
    ):
        for subject, number in numbers.items():
            if await raise_alert_once(redis, kind, "", f"{kind.key}:{subject}"):
                log.warning("request late: %s, appeal %s", kind.key, number)
        await close_settled(redis, kind.key, numbers)
