"""Supervisors are told when recordings wait: to be sealed for minutes, or to be copied for an hour.

Whatever is the cause: the store or a key is away, a disk is full, the worker was. And when one is
set aside: it failed, is not as long as its conversation, or its file belongs to no call.
"""

import logging
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.consultants.alarms import Alarm, alarm_of_new, raise_alarm_once
from callcenter.ledger import orphans
from callcenter.recordings import set_aside, store
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis

log = logging.getLogger(__name__)

SEALED_WITHIN = timedelta(minutes=5)
COPIED_WITHIN = timedelta(hours=1)
TOLD_AGAIN = 3600  # seconds after which supervisors are told again of what lasts

#: Until then the end of a conversation may be wrong, as after a controller's death: it is put right
#: by night.
SURE = timedelta(days=1)
HOMELESS_FOR = timedelta(minutes=15)  # the ledger tells within minutes whose file it is
ASIDE_AGAIN = 86_400  # seconds after which supervisors are told again of what is set aside still


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
        if since is not None and abs(now - since) > within:  # a clock may have been put back
            log.critical("recordings wait to be %s since %s", what, since.isoformat())
            about = f"recordings:{what}"
            await raise_alarm_once(redis, Alarm.RECORDINGS_WAIT, "", about, TOLD_AGAIN)


async def alarm_aside(tools: Tools, redis: Redis, now: datetime) -> None:
    """Alarm of what is set aside: of each once a day, until somebody has dealt with it.

    One alarm, however many there are. Killed in between it is told twice. Raises as `alarm` does,
    and OSError.
    """
    async with unit_of_work(tools.engine) as connection:
        aside = await set_aside.aside(connection)
        files = await orphans.find(connection, tools.settings.spool, now)
    found = {
        str(row.id): row.why
        for row in aside
        if row.state == "failed" or abs(now - row.started_at) > SURE
    }
    found |= {
        each.name: "it belongs to no call" for each in files if now - each.ended_at > HOMELESS_FOR
    }
    for each in await alarm_of_new(redis, Alarm.RECORDING_ASIDE, found, ASIDE_AGAIN):
        log.critical("recording %s is set aside: %s", each, found[each])


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="recordings.alarm_aside", pass_context=True, queueing_lock="recordings.alarm_aside")
async def alarm_aside_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm_aside` every ten minutes."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alarm_aside(tools, redis, datetime.now(UTC))


@jobs.periodic(cron="* * * * *")
@jobs.task(name="recordings.alarm", pass_context=True, queueing_lock="recordings.alarm")
async def alarm_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alarm(tools, redis, datetime.now(UTC))
