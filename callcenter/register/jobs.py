"""What the worker does for the register by itself."""

import logging
from datetime import UTC, datetime

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.consultants.alarms import Alarm, raise_alarm_once
from callcenter.register import attachments_checking, lists, masking_deeds, progress
from callcenter.register.lists import List
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis
from callcenter.web import once
from callcenter.web.words import ZONE

log = logging.getLogger(__name__)

ALARMS = {
    List.URGENT: Alarm.DANGER_WAITS,
    List.OVERDUE: Alarm.APPEAL_OVERDUE,
    List.REMINDERS: Alarm.REMINDER_DUE,
    List.CUT_OFF: Alarm.CUT_OFF_WAITS,
}


async def alarm(tools: Tools, redis: Redis, now: datetime) -> None:
    """Alarm of each appeal that waits or whose term is over, and each reminder: once a day each.

    Raises NotReady, SQLAlchemyError and RedisError; the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        late = await lists.late(connection, today=now.astimezone(ZONE).date(), now=now)
    for which, numbers in late.items():
        for number in numbers:
            log.warning("%s is on the list %s", number, which.value)
            await raise_alarm_once(redis, ALARMS[which], "", f"{which.value}:{number}")


@jobs.periodic(cron="* * * * *")
@jobs.task(name="register.alarm", pass_context=True, queueing_lock="register.alarm")
async def alarm_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`alarm` every minute."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alarm(tools, redis, datetime.now(UTC))


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="register.check_attachments",
    pass_context=True,
    queueing_lock="register.check_attachments",
    lock="register.check_attachments",
)
async def check_attachments(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`attachments_checking.check` every minute, and when a file has come."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await attachments_checking.check(tools, redis, datetime.now(UTC))


@jobs.periodic(cron="0 20 * * *")  # UTC: one at night in Asia/Almaty
@jobs.task(name="register.mask", pass_context=True, queueing_lock="register.mask")
async def mask(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Every night, mask personal data whose time is over by the center's rules."""
    done = await masking_deeds.mask_by_rules(tools_of(context), datetime.now(UTC))
    log.info("personal data of %d appeals were masked by rules", done)


@jobs.periodic(cron="10 * * * *")
@jobs.task(name="register.forget_attempts", pass_context=True, queueing_lock="register.forget")
async def forget_attempts(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Tries to learn how an appeal stands are forgotten a day later: they name who asked.

    So are answers to requests that could have been sent again.
    """
    async with unit_of_work(tools_of(context).engine) as connection:
        await progress.forget_the_past(connection)
        await once.forget_the_past(connection)
