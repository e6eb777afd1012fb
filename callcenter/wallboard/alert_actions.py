"""Alerts are taken by who sees to them, and acknowledged; each with its audit entry."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.audit.queries import AuditFilter, find_entries
from callcenter.platform.core.errors import Conflict, DependencyUnavailable, Forbidden
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.monitoring.alerts import close_alerts, take_alerts
from callcenter.platform.storage.engine import unit_of_work
from callcenter.wallboard.actions import WallboardAction
from callcenter.wallboard.rules import COVERS_SEPARATOR, Acknowledgement, AlertGroup
from callcenter.wallboard.store import read_open_alerts

REDIS_TIMEOUT = 2.0  # seconds for Redis to answer
ACKNOWLEDGED_SHOWN = timedelta(days=1)
ACKNOWLEDGED_LIMIT = 50


class AlertNotOpen(Conflict):
    """Somebody has acknowledged this alarm already."""


async def list_open_alerts(redis: Redis) -> list[AlertGroup]:
    """The open alerts, the gravest first. Raises DependencyUnavailable."""
    async with _redis_answers():
        return await read_open_alerts(redis)


async def acknowledge_alert(
    engine: AsyncEngine, redis: Redis, actor: Actor, group_id: str, seen: float
) -> None:
    """Acknowledge the alerts of a group up to the newest `seen`: they leave the board.

    The audit log says who saw them; one that was raised meanwhile stays, for nobody acknowledges
    danger unseen. The entry names the critical ones, so that no loss of Redis brings them back.
    Raises AlertNotOpen, Forbidden (of another owner), DependencyUnavailable. After a fault in
    between they are open still.
    """
    group, alerts = await _find_own(redis, actor, group_id, seen)
    is_restorable = group.is_critical or not group.label  # a kind of another version may be
    covers = {"covers": COVERS_SEPARATOR.join(alerts)} if is_restorable else {}
    async with unit_of_work(engine) as connection:
        await _audit(connection, actor, WallboardAction.ALARM_ACKNOWLEDGED, group, alerts, **covers)
    async with _redis_answers():
        await close_alerts(redis, alerts)


async def take_alert(
    engine: AsyncEngine, redis: Redis, actor: Actor, group_id: str, seen: float
) -> None:
    """Note that the actor sees to the alerts of a group up to the newest `seen`: all see who.

    It stays open, and is sent outside if nobody acknowledges it. Who takes it from another is the
    one then. Raises as `acknowledge_alert` does.
    """
    group, alerts = await _find_own(redis, actor, group_id, seen)
    async with unit_of_work(engine) as connection:
        await _audit(connection, actor, WallboardAction.ALERT_TAKEN, group, alerts)
    async with _redis_answers():
        await take_alerts(redis, alerts, actor.who)


async def _find_own(
    redis: Redis, actor: Actor, group_id: str, seen: float
) -> tuple[AlertGroup, dict[str, float]]:
    groups = {each.id: each for each in await list_open_alerts(redis)}
    group = groups.get(group_id)
    opened = group.alerts.items() if group else ()
    alerts = {each: at for each, at in opened if group and group.added[each] <= seen}
    if group is None or not alerts:
        raise AlertNotOpen
    if not group.is_acknowledged_by(actor.grantee):
        raise Forbidden
    return group, alerts


async def _audit(
    connection: AsyncConnection,
    actor: Actor,
    action: WallboardAction,
    group: AlertGroup,
    alerts: Mapping[str, float],
    **more: str,
) -> None:
    await audit_action(
        connection,
        actor,
        action,
        f"alarm:{next(iter(alerts)) if len(alerts) == 1 else group.kind}",
        {
            "kind": group.kind,
            "language": group.language,
            "raised_at": datetime.fromtimestamp(round(min(alerts.values())), UTC).isoformat(),
            "alerts": len(alerts),
            **more,
        },
    )


async def list_acknowledged(
    connection: AsyncConnection, now: datetime
) -> Sequence[Acknowledgement]:
    """The acknowledgements of the last day, the newest first."""
    acknowledged = AuditFilter(
        actions=[WallboardAction.ALARM_ACKNOWLEDGED.value], since=now - ACKNOWLEDGED_SHOWN
    )
    entries = await find_entries(connection, acknowledged, limit=ACKNOWLEDGED_LIMIT)
    return [
        Acknowledgement(str(each.detail["kind"]), str(each.detail["language"]), each.who, each.at)
        for each in entries
    ]


@asynccontextmanager
async def _redis_answers() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise DependencyUnavailable(f"alerts not read or closed: {exc or 'no answer'}") from exc
