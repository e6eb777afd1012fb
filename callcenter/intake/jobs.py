"""Jobs of intake: alerts about what is written and nobody reads, or can read."""

import logging
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.intake.alerts import (
    CONTACT_OVERDUE,
    PORTAL_FAILS,
    PORTAL_STUCK,
    URGENT_MORE,
    URGENT_UNREAD,
)
from callcenter.intake.drivers.portal.store import end_sessions, list_waiting
from callcenter.intake.queue import ALERT_JOB
from callcenter.intake.queue_store import (
    count_unread_danger,
    list_overdue,
    list_unread_danger,
)
from callcenter.intake.rules.queue import WrittenContact
from callcenter.platform.monitoring.alerts import (
    DAY,
    close_settled,
    forget_alerts,
    raise_alert,
    raise_alert_of_new,
    raise_alert_once,
)
from callcenter.platform.monitoring.http_status import http_status
from callcenter.platform.monitoring.metrics_server import ADDRESS, metrics_port
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis

log = logging.getLogger(__name__)

#: More than its own limits of statements and of pauses between them.
LONGEST_HOLD = timedelta(seconds=45)
LISTED = 100  # contacts that have an alert of their own: anybody can send any number
MORE_SAID = "desk:alarmed:written_urgent_more"  # of those in danger past these: how many
STUCK_AFTER = timedelta(minutes=1)  # within which a message is taken many times over


async def alert_of_unread(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Raise an alert for each unread contact in danger, and one for those late in a language.

    Past so many in danger the others have one together, which tells their number. Each that becomes
    late raises it again, and the last that is read closes it. And one for each message of the
    portal that intake has not taken in a minute. Raises DependencyUnavailable, SQLAlchemyError,
    RedisError: the next minute tries again.
    """
    async with unit_of_work(tools.engine) as connection:
        in_danger = await list_unread_danger(connection, LISTED)
        danger_count = await count_unread_danger(connection)
        late = await list_overdue(connection, now, LISTED)
        stuck = await list_waiting(connection, now - STUCK_AFTER)
    urgent = {_subject(each): each for each in in_danger}
    for subject, each in urgent.items():
        about = f"{URGENT_UNREAD.key}:{subject}"
        if await raise_alert_once(redis, URGENT_UNREAD, each.language, about):
            log.warning("written contact of danger unread: appeal %s", each.number)
    await close_settled(redis, URGENT_UNREAD.key, urgent)
    await _alert_of_more(redis, danger_count - len(in_danger))
    languages = {each.language for each in late}
    for language in languages:
        subjects = [_subject(each) for each in late if each.language == language]
        for subject in await raise_alert_of_new(redis, CONTACT_OVERDUE, subjects, DAY, language):
            log.warning("written contact overdue: appeal and time %s", subject)
    await close_settled(redis, CONTACT_OVERDUE.key, languages)
    for message in stuck:
        if await raise_alert_once(redis, PORTAL_STUCK, "", f"{PORTAL_STUCK.key}:{message}"):
            log.error("message of the portal not taken: %s", message)
    await close_settled(redis, PORTAL_STUCK.key, map(str, stuck))


async def _alert_of_more(redis: Redis, count: int) -> None:
    """Raise one alert for the contacts in danger that have none of their own.

    It says at least how many there are: 1, 10, 100; at each it is raised again. Killed in between
    it is raised twice.
    """
    if count <= 0:
        await redis.delete(MORE_SAID)
        await close_settled(redis, URGENT_MORE.key, ())
        return
    magnitude = 10 ** (len(str(count)) - 1)
    if magnitude > int(await redis.get(MORE_SAID) or 0):
        await raise_alert(redis, URGENT_MORE, about=f"{URGENT_MORE.key}:{magnitude}")
        await redis.set(MORE_SAID, magnitude)
        await close_settled(redis, URGENT_MORE.key, [str(magnitude)])
        log.warning("written contacts of danger unread: %d more than are listed", count)


async def end_long_sessions(tools: WorkerResources) -> None:
    """End sessions of the portal's role that hold locks for longer than a portal of ours can."""
    async with unit_of_work(tools.engine) as connection:
        ended = await end_sessions(connection, LONGEST_HOLD)
    if ended:
        log.error("sessions of the portal ended: %d: did somebody take it over?", ended)


async def alert_of_portal(tools: WorkerResources, redis: Redis) -> None:
    """Raise an alert while the portal of this machine can store nothing, or does not say so.

    Nothing is known here of one that is elsewhere, or does not run. Raises RedisError.
    """
    port = metrics_port(tools.settings, "portal")
    status = port and await http_status(ADDRESS, port, "/ready")
    if status in (None, HTTPStatus.OK):
        await forget_alerts(redis, [PORTAL_FAILS.key])
    elif await raise_alert_once(redis, PORTAL_FAILS, "", PORTAL_FAILS.key):
        log.error("portal stores nothing: see its log")


def _subject(contact: WrittenContact) -> str:
    """The cause of an alert: what was read and is to be read again is another one."""
    return f"{contact.number}:{contact.queued_at.timestamp()}"


@jobs.periodic(cron="* * * * *")
@jobs.task(name=ALERT_JOB, pass_context=True, queueing_lock=ALERT_JOB)
async def alert_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """The alerts of this room every minute, and at once when somebody writes in danger.

    And what of the portal's role holds all others up.
    """
    tools = tools_of(context)
    async with open_redis(tools.settings) as redis:
        await alert_of_unread(tools, redis, datetime.now(UTC))
        await end_long_sessions(tools)
        await alert_of_portal(tools, redis)
