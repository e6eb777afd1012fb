"""Jobs of appeals: alerts, scanning of attachments, masking, expiry of attempts."""

import logging
from datetime import UTC, date, datetime

from procrastinate import JobContext
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.alerts import (
    APPEAL_OVERDUE,
    CALENDAR_ENDS,
    CUT_OFF_WAITS,
    DANGER_WAITS,
    FOLLOW_UP_MISSED,
    MANY_VIEWED,
    NUMBERS_RUN_OUT,
    STATUS_GUESSED,
    TALK_MISSED,
)
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.followup import attachment_scanning
from callcenter.appeals.masking import service
from callcenter.appeals.record.bulk_readers import WINDOW, find_bulk_readers
from callcenter.appeals.rules.number import LAST_SEQUENCE
from callcenter.appeals.search import worklists
from callcenter.appeals.status import lookup
from callcenter.platform.audit import store as audit
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import WARN_BEFORE
from callcenter.platform.identity import answered_requests
from callcenter.platform.monitoring.alerts import (
    DAY,
    close_settled,
    raise_alert_of_new,
    raise_alert_once,
)
from callcenter.platform.monitoring.severity import AlertSeverity
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.working_calendar.store import read_calendar

log = logging.getLogger(__name__)

CALENDAR_ALERT_INTERVAL = 7 * 86_400  # seconds after which supervisors are alerted again
ALERTS = {
    "urgent": DANGER_WAITS,
    "overdue": APPEAL_OVERDUE,
    "missed_talks": TALK_MISSED,
    "missed_follow_ups": FOLLOW_UP_MISSED,
    "cut_off": CUT_OFF_WAITS,
}

NUMBERS_ALERT = LAST_SEQUENCE * 9 // 10  #: sequence number of a year from which there is an alert


async def alert_of_late_work(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert for each late appeal, talk and call, once a day; close those of others.

    Danger alone stays until somebody acknowledges it. A reminder is its user's own affair.

    Raises DependencyUnavailable, SQLAlchemyError and RedisError; the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        late = await worklists.find_late(connection, today=now.astimezone(ZONE).date(), now=now)
    for which, numbers in late.items():
        for number in numbers:
            log.warning("appeal late: %s, list %s", number, which)
            await raise_alert_once(redis, ALERTS[which], "", f"{which}:{number}")
        if ALERTS[which].severity is not AlertSeverity.CRITICAL:
            await close_settled(redis, which, numbers)


async def alert_of_calendar(engine: AsyncEngine, redis: Redis, today: date) -> None:
    """Raise an alert, once a week, when the working calendar is about to end.

    Raises RedisError; the next minute tries again.
    """
    async with unit_of_work(engine) as connection:
        ends_on = (await read_calendar(connection)).entered_until(today)
    if ends_on - today <= WARN_BEFORE:
        log.warning("working calendar ends: %s", ends_on.isoformat())
        await raise_alert_once(
            redis, CALENDAR_ENDS, "", f"calendar:{ends_on}", CALENDAR_ALERT_INTERVAL
        )


async def alert_of_numbers(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert, once a day, when most numbers of appeals of this year have been given.

    Raises as `alert_of_late_work` does.
    """
    async with unit_of_work(tools.engine) as connection:
        last = await appeals.last_sequence(connection, now)
    if last >= NUMBERS_ALERT and await raise_alert_of_new(redis, NUMBERS_RUN_OUT, ["year"], DAY):
        log.critical("appeal numbers run out: %d of %d are given", last, LAST_SEQUENCE)


async def alert_of_bulk_readers(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert, once an hour for each, of users who open many appeals without a call.

    The audit entry comes first: killed in between, the next minute raises the alert. Raises as
    `alert_of_late_work` does.
    """
    threshold = tools.settings.viewed_appeals_alert
    async with unit_of_work(tools.engine) as connection:
        readers = await find_bulk_readers(connection, now, threshold)
        for each in readers:
            await audit.record_once(
                connection,
                within=WINDOW,
                who="system:worker",
                action=AppealAction.MANY_VIEWED,
                subject=each,
                detail={"threshold": threshold},
            )
    within = int(WINDOW.total_seconds())
    for each in await raise_alert_of_new(redis, MANY_VIEWED, readers, within):
        log.critical("appeals opened without a call: %d or more in an hour, %s", threshold, each)


async def alert_of_guessing(tools: WorkerResources, redis: Redis) -> None:
    """Raise an alert, once a day for each API client whose visitors guess proofs.

    Raises as `alert_of_late_work` does.
    """
    async with unit_of_work(tools.engine) as connection:
        clients = await lookup.guessed_clients(connection, tools.settings.status_tries)
    for client in await raise_alert_of_new(redis, STATUS_GUESSED, clients, DAY):
        log.warning("status lookup guessed: API client %s has too many wrong tries", client)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="register.alarm", pass_context=True, queueing_lock="register.alarm")
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Raise the alerts of appeals every minute."""
    tools, now = tools_of(context), datetime.now(UTC)
    async with open_redis(tools.settings) as redis:
        await alert_of_late_work(tools, redis, now)
        await alert_of_calendar(tools.engine, redis, now.astimezone(ZONE).date())
        await alert_of_numbers(tools, redis, now)
        await alert_of_bulk_readers(tools, redis, now)
        await alert_of_guessing(tools, redis)


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="register.check_attachments",
    pass_context=True,
    queueing_lock="register.check_attachments",
    lock="register.check_attachments",
)
async def check_attachments(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `attachment_scanning.scan_attachments` every minute, and when a file has arrived."""
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await attachment_scanning.scan_attachments(tools, redis, datetime.now(UTC))


@jobs.periodic(cron="0 20 * * *")  # UTC: one at night in Asia/Almaty
@jobs.task(name="register.mask", pass_context=True, queueing_lock="register.mask")
async def mask(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Mask personal data whose retention has ended, every night."""
    done = await service.mask_by_rules(tools_of(context), datetime.now(UTC))
    log.info("masking finished: %d appeals by rules", done)


@jobs.periodic(cron="10 * * * *")
@jobs.task(name="register.forget_attempts", pass_context=True, queueing_lock="register.forget")
async def forget_attempts(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Delete status attempts of a day ago, which name who asked, and answers of API requests."""
    async with unit_of_work(tools_of(context).engine) as connection:
        await lookup.delete_expired(connection)
        await answered_requests.delete_expired(connection)
