"""Jobs of the wallboard: alerts of calls that nobody answers or that do not come."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.appeals.calls.statistics import count_in_earlier_weeks, find_last_call_at
from callcenter.platform.core.registry import offers
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.monitoring.alerts import (
    OPEN,
    AlertKind,
    close_settled,
    raise_alert,
    raise_alert_once,
)
from callcenter.platform.monitoring.severity import AlertSeverity
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.calls.journal.spool import last_spooled_at
from callcenter.wallboard.alerts import LINE_SILENT, NONE_ANSWERED
from callcenter.wallboard.rules import is_line_silent
from callcenter.wallboard.store import list_unacknowledged, none_answered

log = logging.getLogger(__name__)

WEEK, COMPARED_WEEKS = timedelta(weeks=1), 8
RESTORED_WITHIN = timedelta(days=30)  #: older alerts are not raised again
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


async def alert_of_silence(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Alert when no call came in for much longer than usual, once a day until one does.

    A journal that waits for the database may have a call until it was last written. Raises as
    `alert_of_unanswered` does.
    """
    spooled_at = await asyncio.to_thread(last_spooled_at, tools.settings.journals)
    async with unit_of_work(tools.engine) as connection:
        last = await find_last_call_at(connection, now)
        if last is None:
            return
        if spooled_at is not None and last < spooled_at <= now:
            last = spooled_at
        since = max(last, now - WEEK)
        earlier = await count_in_earlier_weeks(connection, since, now, weeks=COMPARED_WEEKS)
    said = f"{last.astimezone(ZONE):%d.%m.%Y, %H:%M}"
    await close_settled(redis, LINE_SILENT.key, [said])  # of earlier calls: one has come since
    if is_line_silent(now - last, earlier):
        log.critical("line silent: no call since %s", said)
        await raise_alert_once(redis, LINE_SILENT, "", f"{LINE_SILENT.key}:{said}")


async def restore_alerts(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise again, dated as before, the unacknowledged alerts that Redis has lost.

    It was emptied, came back old, or did not answer when they were raised. It is read before the
    log, which knows what was acknowledged and closed by then. Raises as `alert_of_unanswered` does.
    """
    opened = {str(each) for each in await redis.hkeys(OPEN)}
    async with unit_of_work(tools.engine) as connection:
        unacknowledged = await list_unacknowledged(connection, now - RESTORED_WITHIN, now)
    kinds = {kind.key: kind for kind in offers(AlertKind)}
    for alert in unacknowledged:
        if alert.id not in opened:
            log.error("alert restored: %s", alert.id)
            unknown = AlertKind(alert.kind, "", AlertSeverity.CRITICAL)  # another version raised it
            kind = kinds.get(alert.kind, unknown)
            await raise_alert(redis, kind, alert.language, alert.id, alert.at.timestamp())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="live.alarm", pass_context=True, queueing_lock="live.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`restore_alerts`, `alert_of_unanswered` and `alert_of_silence` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await restore_alerts(tools, redis, datetime.now(UTC))
        await alert_of_unanswered(tools, redis, datetime.now(UTC))
        await alert_of_silence(tools, redis, datetime.now(UTC))
