"""Alerts supervisors of recordings that wait for sealing or copying, or are in quarantine.

Whatever the cause of waiting: the store or a key is away, a disk is full, the worker was down. In
quarantine is a recording that failed or differs in length from its conversation, and a file of no
call.
"""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.platform.monitoring.alerts import raise_alert_of_new, raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.recordings import store
from callcenter.recordings.sealing import quarantine_store
from callcenter.telephony.reconciliation import orphaned_files
from callcenter.worker.alerts import RECORDING_QUARANTINED, RECORDINGS_WAIT

log = logging.getLogger(__name__)

SEALING_LIMIT = timedelta(minutes=5)
COPYING_LIMIT = timedelta(hours=1)
ALERT_INTERVAL = 3600  # seconds after which supervisors are alerted again of what lasts

#: Until then the end of a conversation may be wrong, as after a controller's death: the nightly
#: reconciliation puts it right.
LENGTH_SETTLED_AFTER = timedelta(days=1)
ORPHANED_AFTER = timedelta(minutes=15)  # reconciliation finds the call of a file within minutes
QUARANTINE_INTERVAL = 86_400  # seconds; the same of each recording in quarantine


async def alert_backlog(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Alert of the sealing backlog, once an hour while it lasts.

    Raises DependencyUnavailable, SQLAlchemyError and RedisError; the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        backlog = await store.find_backlog(connection, copies=tools.settings.copy_store is not None)
    for what, since, within in (
        ("sealed", backlog.sealing, SEALING_LIMIT),
        ("copied", backlog.copying, COPYING_LIMIT),
    ):
        if since is not None and abs(now - since) > within:  # a clock may have been put back
            log.critical("backlog: recordings wait to be %s since %s", what, since.isoformat())
            about = f"recordings:{what}"
            await raise_alert_once(redis, RECORDINGS_WAIT, "", about, ALERT_INTERVAL)


async def alert_quarantine(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Alert of the quarantine: of each recording once a day, until it is resolved.

    One alert, however many there are. Killed in between it is raised twice. Raises as
    `alert_backlog` does, and OSError.
    """
    async with unit_of_work(tools.engine) as connection:
        quarantined = await quarantine_store.list_quarantined(connection)
        files = await orphaned_files.find(connection, tools.settings.spool, now)
    found = {
        str(row.id): row.why
        for row in quarantined
        if row.state == "failed" or abs(now - row.started_at) > LENGTH_SETTLED_AFTER
    }
    found |= {
        each.name: "it belongs to no call" for each in files if now - each.ended_at > ORPHANED_AFTER
    }
    for each in await raise_alert_of_new(redis, RECORDING_QUARANTINED, found, QUARANTINE_INTERVAL):
        log.critical("recording in quarantine: %s: %s", each, found[each])


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="recordings.alarm_aside", pass_context=True, queueing_lock="recordings.alarm_aside")
async def alert_quarantine_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `alert_quarantine` every ten minutes."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_quarantine(tools, redis, datetime.now(UTC))


@jobs.periodic(cron="* * * * *")
@jobs.task(name="recordings.alarm", pass_context=True, queueing_lock="recordings.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `alert_backlog` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_backlog(tools, redis, datetime.now(UTC))
