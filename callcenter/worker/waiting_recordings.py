"""Supervisors are told when recordings wait: to be sealed for minutes, or to be copied for an hour.

Whatever is the cause: the store or a key is away, a disk is full, the worker was.
"""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.consultants.alarms import Alarm, raise_alarm_once
from callcenter.recordings import store
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis

log = logging.getLogger(__name__)

SEALED_WITHIN = timedelta(minutes=5)
COPIED_WITHIN = timedelta(hours=1)
TOLD_AGAIN = 3600  # seconds after which supervisors are told again of what lasts


async def alarm(tools: Tools, redis: Redis, now: datetime) -> None:
    """Alarm of what waits, once an hour while it lasts.

    Raises NotReady, SQLAlchemyError and RedisError; the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        waiting = await store.waits_since(connection, copies=tools.settings.copy_store is not None)
    for what, since, within in (
        ("sealed", waiting.sealing, SEALED_WITHIN),
        ("copied", waiting.copying, COPIED_WITHIN),
    ):
        if since is not None and now - since > within:
            log.critical("recordings wait to be %s since %s", what, since.isoformat())
            about = f"recordings:{what}"
            await raise_alarm_once(redis, Alarm.RECORDINGS_WAIT, "", about, TOLD_AGAIN)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="recordings.alarm", pass_context=True, queueing_lock="recordings.alarm")
async def alarm_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm` every minute."""
    tools = tools_of(context)
    redis = open_redis(tools.settings)
    try:
        await alarm(tools, redis, datetime.now(UTC))
    finally:
        await redis.aclose()
