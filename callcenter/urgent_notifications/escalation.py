"""Escalation of urgent notifications that nobody took, and alerts until they end."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import close_settled, raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.urgent_notifications import store
from callcenter.urgent_notifications.alerts import LEVELS, UNRESOLVED
from callcenter.urgent_notifications.rules.states import (
    NotificationState,
    NotificationStep,
    count_levels,
    move_notification,
)
from callcenter.urgent_notifications.service import audit_step

log = logging.getLogger(__name__)

REPEAT_AFTER = 1800  # seconds after which an alert that was acknowledged is raised again


async def watch_notifications(engine: AsyncEngine, settings: Settings, now: datetime) -> None:
    """Escalate what is due, then raise the alerts of it, though that fails.

    Raises DependencyUnavailable, SQLAlchemyError, RedisError: the next minute tries again.
    """
    try:
        await escalate(engine, settings.urgent_escalations, now)
    finally:
        async with open_redis(settings) as redis:
            await raise_alerts(engine, redis, settings, now)


async def escalate(engine: AsyncEngine, limits: Sequence[float], now: datetime) -> None:
    """Add the steps of the levels that are due of what nobody took; limits in seconds."""
    step = NotificationStep.ESCALATED
    async with unit_of_work(engine) as connection:
        for each in await store.list_open(connection, alone=True):
            found = each.notification
            if found.state is not NotificationState.CALLING:
                continue
            after = move_notification(found.state, step)
            for level in range(found.escalated + 1, count_levels(found.begun_at, now, limits) + 1):
                await store.add_step(connection, found, step, after, author=store.CLOCK.who)
                await audit_step(connection, store.CLOCK, each.number, found, step, level=level)
                log.warning("urgent notification escalated: %s, level %d", found.id, level)


async def raise_alerts(
    engine: AsyncEngine, redis: Redis, settings: Settings, now: datetime
) -> None:
    """Raise an alert for each level of what nobody took, and for what has no end yet.

    Those of others are closed. One that was acknowledged comes again: somebody is in danger.
    """
    async with unit_of_work(engine) as connection:
        found = [each.notification for each in await store.list_open(connection)]
    untaken = [each for each in found if each.state is NotificationState.CALLING]
    levels = [count_levels(each.begun_at, now, settings.urgent_escalations) for each in untaken]
    late = now - timedelta(seconds=settings.urgent_result_timeout)
    due = [
        (kind, [each.id for each, level in zip(untaken, levels, strict=True) if level >= place])
        for place, kind in enumerate(LEVELS, start=1)
    ]
    due.append((UNRESOLVED, [each.id for each in found if each.taken_at and each.taken_at <= late]))
    for kind, identities in due:
        for identity in identities:
            about = f"{kind.key}:{identity}"
            if await raise_alert_once(redis, kind, "", about, REPEAT_AFTER):
                log.warning("urgent notification late: %s, %s", kind.key, identity)
        await close_settled(redis, kind.key, map(str, identities))
