"""What the worker looks at for supervisors: whether anybody is answered at all."""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.consultants.alarms import Alarm, raise_alarm_once
from callcenter.live.store import none_answered
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis

log = logging.getLogger(__name__)

AGAIN = 600  # seconds after which supervisors are alarmed once more while it lasts


async def alarm(tools: Tools, redis: Redis, now: datetime) -> None:
    """Alarm the supervisors of each language whose callers waited while none was answered.

    Raises NotReady, SQLAlchemyError, RedisError: it is looked at again a minute later.
    """
    window = timedelta(minutes=tools.settings.unanswered_window)
    async with unit_of_work(tools.engine) as connection:
        languages = await none_answered(connection, now, window)
    for language in languages:
        log.error("callers waited for %s, and none was answered within %s", language, window)
        about = f"none_answered:{language}"
        await raise_alarm_once(redis, Alarm.NONE_ANSWERED, language, about, within=AGAIN)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="live.alarm", pass_context=True, queueing_lock="live.alarm")
async def alarm_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alarm(tools, redis, datetime.now(UTC))
