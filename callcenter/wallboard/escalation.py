"""Sends alerts that nobody acknowledges outside the pages: by mail and by a webhook.

What was sent is noted in Redis after it was taken on: a worker that is killed in between sends it
once more, and what could not be sent is tried again every quarter of a minute until somebody
acknowledges it. Messages hold kinds, numbers, times and public subjects: nothing personal.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.platform.core.errors import N_, OperationFailed
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.smtp_url import parse_smtp_url
from callcenter.platform.mail.smtp import MailMessage, send_mail
from callcenter.platform.monitoring.severity import AlertSeverity
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.rules import AlertGroup
from callcenter.wallboard.store import read_open_alerts
from callcenter.wallboard.webhook import post_json

log = logging.getLogger(__name__)

INTERVAL = 15.0  # seconds between two looks
LOCK, LOCK_TIMEOUT = "desk:alarms:escalating", 60  # seconds; of one worker at a time
REDIS_TIMEOUT = 2.0  # seconds
MESSAGE_INTERVAL = 120  # seconds between two messages of one way at least
#: hash: WAY GROUP, when its newest message was taken on, in epoch seconds; WAY alone: of any.
ESCALATED = "desk:alarms:escalated"

#: Seconds for which nobody acknowledged an alert, and those after which it is sent again.
ESCALATE_AFTER = {
    AlertSeverity.CRITICAL: 120,
    AlertSeverity.WARNING: 1800,
    AlertSeverity.NOTICE: 12 * 3600,
}
REPEAT_AFTER = {
    AlertSeverity.CRITICAL: 1800,
    AlertSeverity.WARNING: 24 * 3600,
    AlertSeverity.NOTICE: 24 * 3600,
}
LANGUAGES = ("kk", "ru")  #: of messages, one below the other


@dataclass(frozen=True, slots=True)
class EscalationWay:
    """A way outside; `send` raises OperationFailed."""

    key: str
    send: Callable[[Sequence[AlertGroup]], Awaitable[None]]


def ways(settings: Settings) -> list[EscalationWay]:
    """The ways that the settings name."""
    found = []
    if settings.smtp_url and settings.mail_from and settings.alert_recipients:
        server = parse_smtp_url(settings.smtp_url.get_secret_value())
        draft = MailMessage(settings.mail_from, settings.alert_recipients, "", "")

        async def send_by_mail(groups: Sequence[AlertGroup]) -> None:
            await send_mail(server, replace(draft, **_write(settings, groups)))

        found.append(EscalationWay("mail", send_by_mail))
    if settings.alert_webhook:
        url = settings.alert_webhook.get_secret_value()

        async def post(groups: Sequence[AlertGroup]) -> None:
            await post_json(url, _describe(settings, groups))

        found.append(EscalationWay("webhook", post))
    return found


def is_due(group: AlertGroup, sent: float | None, now: float) -> bool:
    """Whether a group is to be sent, whose newest message was taken on at `sent`.

    A danger that came after that message is sent as the first one was, one that Redis had lost at
    once; others wait for the repeat.
    """
    after = ESCALATE_AFTER[group.severity]
    due_since = [max(at + after, group.added[each]) for each, at in group.alerts.items()]
    waited = [each for each in due_since if each <= now]
    if not waited:
        return False
    if sent is None or now - sent >= REPEAT_AFTER[group.severity]:
        return True
    return group.is_critical and max(waited) > sent


async def escalate(settings: Settings, redis: Redis, now: float) -> None:
    """Send what is due by each way, one message for all of it; what fails is due again.

    Raises RedisError and TimeoutError.
    """
    async with asyncio.timeout(REDIS_TIMEOUT):
        groups = await read_open_alerts(redis)
        noted = {str(key): float(at) for key, at in (await redis.hgetall(ESCALATED)).items()}
    await _drop_closed(redis, groups, noted)
    for way in ways(settings):
        due = [each for each in groups if is_due(each, noted.get(f"{way.key} {each.id}"), now)]
        if not due or now - noted.get(way.key, 0) < MESSAGE_INTERVAL:
            continue
        try:
            await way.send([_as_sent(each) for each in due])
        except OperationFailed as exc:
            log.error("alerts not escalated, way %s, groups %d: %s", way.key, len(due), exc)
            continue
        log.warning("alerts escalated: way %s, groups %d", way.key, len(due))
        sent = [(f"{way.key} {each.id}", str(now)) for each in due]
        async with asyncio.timeout(REDIS_TIMEOUT):
            await redis.hset(ESCALATED, mapping=dict([*sent, (way.key, str(now))]))


async def run(tools: WorkerResources, redis: Redis) -> None:
    """Escalate until cancelled, one worker at a time; nothing that fails ends it."""
    while ways(tools.settings):
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                is_ours = await redis.set(LOCK, "1", nx=True, ex=LOCK_TIMEOUT)
            if is_ours:
                try:
                    await escalate(tools.settings, redis, time.time())
                finally:
                    await redis.delete(LOCK)
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("alerts not escalated: %s", exc or "no answer")
        await asyncio.sleep(INTERVAL)
    await asyncio.Event().wait()  # no way is set: a loop that ends would end the worker


async def _drop_closed(
    redis: Redis, groups: Sequence[AlertGroup], noted: Mapping[str, float]
) -> None:
    """Forget what was sent of alerts that are acknowledged: raised again they are new."""
    opened = {each.id for each in groups}
    closed = [key for key in noted if " " in key and key.partition(" ")[2] not in opened]
    if closed:
        async with asyncio.timeout(REDIS_TIMEOUT):
            await redis.hdel(ESCALATED, *closed)


def _as_sent(group: AlertGroup) -> AlertGroup:
    """The group as it goes outside: without extensions of staff."""
    return group if group.is_subject_public else replace(group, subjects=())


def _write(settings: Settings, groups: Sequence[AlertGroup]) -> dict[str, str]:
    """The subject and the text of a message."""
    says = [WallboardLabels(Translator(language)) for language in LANGUAGES]
    subject = N_("111: alarms that nobody has acknowledged")
    texts = [
        "\n".join(
            f"{say.alert_since(each)} {say.alert(each)} ({say.owner(each.owner)})"
            for each in groups
        )
        for say in says
    ]
    return {
        "subject": " / ".join(say.words.plain(subject) for say in says),
        "text": "\n\n".join([*texts, _address(settings)]),
    }


def _describe(settings: Settings, groups: Sequence[AlertGroup]) -> dict[str, object]:
    return {
        "alerts": [
            {
                "kind": each.kind,
                "severity": each.severity.value,
                "owner": each.owner.value,
                "language": each.language,
                "subjects": list(each.subjects),
                "count": each.count,
                "since": datetime.fromtimestamp(round(each.since), UTC).isoformat(),
            }
            for each in groups
        ],
        "url": _address(settings),
    }


def _address(settings: Settings) -> str:
    return f"{settings.public_url or ''}/live/alarms"
