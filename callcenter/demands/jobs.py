"""What the worker does for demands every minute: alarms, bundles that are due or done with."""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.consultants.alarms import Alarm, raise_alarm
from callcenter.demands import building, deeds, disclosures, store
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis

log = logging.getLogger(__name__)


async def alarm(tools: Tools, redis: Redis, now: datetime) -> None:
    """Alarm of each demand that is due soon, once, and of each that is late, once a day.

    A demand counts as told after the alarm was raised: killed in between it is told twice, never
    not at all. Raises NotReady, SQLAlchemyError and RedisError; the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        for row in await store.to_be_warned_of(connection, now):
            log.warning("demand %s is due at %s", row.number, row.due_at.isoformat())
            await raise_alarm(redis, Alarm.DEMAND_DUE_SOON)
        for row in await store.overdue(connection, now):
            log.critical("demand %s was due at %s", row.number, row.due_at.isoformat())
            await raise_alarm(redis, Alarm.DEMAND_OVERDUE)


async def tend_bundles(tools: Tools, now: datetime) -> None:
    """Build the bundles that are ordered, remove those that nobody may take any more.

    A fault of one holds up no other; the next minute tries it again. Raises NotReady and
    SQLAlchemyError.
    """
    async with unit_of_work(tools.engine) as connection:
        ordered = await disclosures.to_be_built(connection)
        done = await disclosures.to_be_removed(connection, now)
    for work, rows in ((building.build, ordered), (building.remove, done)):
        for row in rows:
            try:
                await work(tools, row)
            except (WeFailed, OSError) as exc:
                log.critical("the bundle of disclosure %s waits: %s", row.id, exc)


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="demands.tend_bundles",
    pass_context=True,
    lock="demands.tend_bundles",
    queueing_lock="demands.tend_bundles",
)
async def bundles_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`tend_bundles` every minute, one at a time."""
    await tend_bundles(tools_of(context), datetime.now(UTC))


@jobs.periodic(cron="30 * * * *")
@jobs.task(name="demands.end_holds", pass_context=True, queueing_lock="demands.end_holds")
async def holds_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`deeds.end_old_holds` every hour."""
    tools = tools_of(context)
    kept = timedelta(days=tools.settings.demand_hold_days)
    await deeds.end_old_holds(tools.engine, datetime.now(UTC), kept)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="demands.alarm", pass_context=True, queueing_lock="demands.alarm")
async def alarm_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alarm(tools, redis, datetime.now(UTC))
