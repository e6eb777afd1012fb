"""Jobs of demands: deadline alerts, building and removing bundles."""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.demands import bundle_builder, disclosures, notices, release, service, store
from callcenter.demands.alerts import DEMAND_DUE_SOON, DEMAND_OVERDUE
from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.platform.monitoring.alerts import raise_alert
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis

log = logging.getLogger(__name__)


async def alert_of_deadlines(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert for each demand due soon, once, and for each overdue one, once a day.

    A demand counts as alerted after the alert was raised: killed in between it is raised twice,
    never not at all. Raises DependencyUnavailable, SQLAlchemyError and RedisError; the next minute
    tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        for row in await store.claim_due_soon(connection, now):
            log.warning("demand due soon: %s is due at %s", row.number, row.due_at.isoformat())
            await raise_alert(redis, DEMAND_DUE_SOON)
        for row in await store.claim_overdue(connection, now):
            log.critical("demand overdue: %s was due at %s", row.number, row.due_at.isoformat())
            await raise_alert(redis, DEMAND_OVERDUE)


async def tend_bundles(tools: WorkerResources, now: datetime) -> None:
    """Build the ordered bundles, remove the expired ones.

    A fault of one holds up no other; the next minute tries it again. Raises DependencyUnavailable
    and SQLAlchemyError.
    """
    async with unit_of_work(tools.engine) as connection:
        ordered = await disclosures.list_unbuilt(connection)
        done = await disclosures.list_expired(connection, now)
    for work, rows in ((bundle_builder.build, ordered), (bundle_builder.remove, done)):
        for row in rows:
            try:
                await work(tools, row)
            except (OperationFailed, OSError) as exc:
                log.critical("bundle not built or removed: disclosure %s: %s", row.id, exc)


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name=release.BUILDING,
    pass_context=True,
    lock=release.BUILDING,
    queueing_lock=release.BUILDING,
)
async def bundles_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `tend_bundles` after each release and every minute, one at a time."""
    await tend_bundles(tools_of(context), datetime.now(UTC))


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name=notices.MAILING, pass_context=True, lock=notices.MAILING, queueing_lock=notices.MAILING
)
async def notices_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `mail_notices` after each notice and every minute, one at a time."""
    try:
        await notices.mail_notices(tools_of(context), datetime.now(UTC))
    except DependencyUnavailable as exc:
        log.error("notices not mailed for now: %s", exc)


@jobs.periodic(cron="30 * * * *")
@jobs.task(name="demands.end_holds", pass_context=True, queueing_lock="demands.end_holds")
async def holds_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `service.end_old_holds` every hour."""
    tools = tools_of(context)
    hold_period = timedelta(days=tools.settings.demand_hold_days)
    await service.end_old_holds(tools.engine, datetime.now(UTC), hold_period)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="demands.alarm", pass_context=True, queueing_lock="demands.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `alert_of_deadlines` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_of_deadlines(tools, redis, datetime.now(UTC))
