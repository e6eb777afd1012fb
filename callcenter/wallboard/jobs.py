"""Jobs of the wallboard: alerts of callers whom nobody answers, and those lost with Redis."""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.appeals.calls import statistics
from callcenter.platform.monitoring.alerts import raise_alert, raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.acd.alerts import NOT_RECORDED
from callcenter.wallboard.alert_actions import find_last_acknowledged
from callcenter.wallboard.alerts import NONE_ANSWERED
from callcenter.wallboard.store import none_answered

log = logging.getLogger(__name__)

REPEAT_AFTER = 600  # seconds after which the alert is raised once more while it lasts
RESTORED = "desk:alarms:restored"  #: gone with the open alerts, when Redis was emptied
RAISED_AGAIN = timedelta(days=1)  # how long ago what is raised again has happened at most


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


async def raise_lost_alerts(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise again, in a Redis that was emptied, what the register has of the last day.

    Of each language the conversations that are perhaps not recorded, since such an alert was last
    acknowledged; danger and late work are raised each minute by themselves. Killed in between it is
    done again. Raises as `alert_of_unanswered` does.
    """
    if await redis.exists(RESTORED):
        return
    since = now - RAISED_AGAIN
    async with unit_of_work(tools.engine) as connection:
        unrecorded = await statistics.list_unrecorded(connection, since)
        acknowledged = await find_last_acknowledged(connection, NOT_RECORDED, since)
    for each in unrecorded:
        if each.failed_at > acknowledged.get(each.language, since):
            log.error("recording unconfirmed, alert lost with Redis: %s", each.recording)
            about = f"not_recorded:{each.recording}"
            await raise_alert(redis, NOT_RECORDED, each.language, about)
    await redis.set(RESTORED, "1")


@jobs.periodic(cron="* * * * *")
@jobs.task(name="live.alarm", pass_context=True, queueing_lock="live.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alert_of_unanswered` and `raise_lost_alerts` every minute."""
    tools, now = tools_of(context), datetime.now(UTC)
    async with open_redis(tools.settings) as redis:
        await alert_of_unanswered(tools, redis, now)
        await raise_lost_alerts(tools, redis, now)
