"""Jobs of the wallboard: alert supervisors when no waiting caller is answered."""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.wallboard.alerts import NONE_ANSWERED
from callcenter.wallboard.store import none_answered

log = logging.getLogger(__name__)

REPEAT_AFTER = 600  # seconds after which the alert is raised once more while it lasts


async def alert_of_unanswered(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Alert the supervisors of each language whose callers waited while none was answered.

    Raises DependencyUnavailable, SQLAlchemyError, RedisError: the job runs again a minute later.
    """
    window = timedelta(minutes=tools.settings.unanswered_window)
    async with unit_of_work(tools.engine) as connection:
        languages = await none_answered(connection, now, window, tools.settings.answer_goal)
    for language in languages:
        log.error("no waiting caller answered, language %s, within %s", language, window)
        about = f"none_answered:{language}"
        await raise_alert_once(redis, NONE_ANSWERED, language, about, within=REPEAT_AFTER)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="live.alarm", pass_context=True, queueing_lock="live.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alert_of_unanswered` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_of_unanswered(tools, redis, datetime.now(UTC))
