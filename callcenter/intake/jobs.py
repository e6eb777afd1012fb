"""Jobs of intake: alerts about what is written and nobody reads."""

import logging
from datetime import UTC, datetime

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.intake.alerts import CONTACT_OVERDUE, URGENT_UNREAD
from callcenter.intake.queue import ALERT_JOB
from callcenter.intake.queue_store import list_unread
from callcenter.platform.monitoring.alerts import close_settled, raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis

log = logging.getLogger(__name__)


async def alert_of_unread(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert for each unread contact in danger or late; close those of the others.

    Raises DependencyUnavailable, SQLAlchemyError, RedisError: the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        unread = await list_unread(connection)
    urgent = [each for each in unread if each.is_urgent]
    late = [each for each in unread if not each.is_urgent and each.due_at < now]
    for kind, contacts in ((URGENT_UNREAD, urgent), (CONTACT_OVERDUE, late)):
        # One that was read and is to be read again is another alert.
        subjects = {f"{each.number}:{each.queued_at.timestamp()}": each for each in contacts}
        for subject, each in subjects.items():
            if await raise_alert_once(redis, kind, each.language, f"{kind.key}:{subject}"):
                log.warning("written contact unread: %s, appeal %s", kind.key, each.number)
        await close_settled(redis, kind.key, subjects)


@jobs.periodic(cron="* * * * *")
@jobs.task(name=ALERT_JOB, pass_context=True, queueing_lock=ALERT_JOB)
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alert_of_unread` every minute, and at once when somebody writes in danger."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_of_unread(tools, redis, datetime.now(UTC))
