"""Operational alerts to supervisors, in Redis: open until acknowledged, and their counts."""

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

DAY = 86_400  # seconds
RAISED_AFTER = 60  # seconds after which an alert that is not open yet is added by another
MAX_ALERTS = 100  #: newest alerts; older ones are only counted
#: Open alerts, beside those in danger, from which each kind adds one more at most.
MAX_OPEN = 1000
OPEN = "desk:alarms:open"  #: hash: alerts that nobody has acknowledged, by id
TAKEN = "desk:alarms:taken"  #: hash: who sees to them, by id


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of alert: an extension point; the wallboard shows the label of each offered.

    Raising needs no offer, nor any registered room: a controller has none.
    """

    key: str  #: in Redis and in metrics: it stays, whatever the kind is called
    label: str  #: a message to be translated; its last words lead to the language, if there is one
    severity: AlertSeverity = AlertSeverity.WARNING
    has_subject: bool = False  #: what follows the first : of its `about` is shown after the label
    is_subject_public: bool = False  #: nothing personal: it is in what is sent outside, too
    owner: AlertOwner = AlertOwner.SENIOR
    path: str = "/live"  #: where its owner acts
    passes: bool = False  #: nobody has to act: it is shown for ten minutes


async def raise_alert(
    redis: Redis, kind: AlertKind, language: str = "", about: str = "", at: float | None = None
) -> None:
    """Add an alert, raised at that time or now; the language is empty where it is about none.

    One of an earlier time has also `added`, when it came: nobody saw it before.

    It is open, in `desk:alarms:open`, until it is acknowledged: one more `about` the same (none,
    unless it is critical: of the same kind and language) is only counted. `desk:alarms` is a list
    of the newest as JSON objects: kind, language, and at, in epoch seconds. `desk:alarm_counts` is
    a hash of all so far, by kind.
    """
    now = round(time.time(), 3)
    raised = {"at": now} if at is None else {"at": round(at, 3), "added": now}
    alert = json.dumps({"kind": kind.key, "language": language, **raised})
    is_critical, is_new = kind.severity is AlertSeverity.CRITICAL, True
    if not kind.passes:
        alert_id = about or (uuid4().hex if is_critical else "")
        if not is_critical and await redis.hlen(OPEN) >= MAX_OPEN:
            alert_id = ""
        alert_id = alert_id or f"{kind.key}:{language}"
        is_new = bool(await redis.hsetnx(OPEN, alert_id, alert))
    async with redis.pipeline(transaction=True) as together:
        if is_new or not is_critical:
            together.lpush("desk:alarms", alert)
            together.ltrim("desk:alarms", 0, MAX_ALERTS - 1)
        together.hincrby("desk:alarm_counts", kind.key, 1)
        await together.execute()


async def take_alerts(redis: Redis, alerts: Mapping[str, float], by: str) -> None:
    """Note who sees to these open alerts; `alerts` are when each was raised, by its id.

    What is noted of one that was closed meanwhile counts for no later one of the same id.
    """
    taken = {alert_id: json.dumps({"by": by, "at": at}) for alert_id, at in alerts.items()}
    await redis.hset(TAKEN, mapping=taken)  # type: ignore[arg-type]


async def close_alerts(redis: Redis, alert_ids: Collection[str]) -> None:
    """Remove open alerts, acknowledged or settled, and the newest that are like them."""
    if not alert_ids:
        return
    found = await redis.hmget(OPEN, list(alert_ids))
    closed = {_kind_of(str(alert)) for alert in found if alert is not None}
    newest = await redis.lrange("desk:alarms", 0, MAX_ALERTS - 1)
    async with redis.pipeline(transaction=True) as together:
        together.hdel(OPEN, *alert_ids)
        together.hdel(TAKEN, *alert_ids)
        for alert in newest:
            if _kind_of(str(alert)) in closed:
                together.lrem("desk:alarms", 0, str(alert))
        await together.execute()


def _kind_of(alert: str) -> tuple[str, str]:
    fields = json.loads(alert)
    return fields["kind"], fields["language"]


async def close_settled(redis: Redis, prefix: str, late: Iterable[str]) -> None:
    """Forget the open alerts `prefix:SUBJECT` whose subject is not late any more."""
    still = {f"{prefix}:{each}" for each in late}
    opened = [str(each) for each in await redis.hkeys(OPEN)]
    settled = [each for each in opened if each.startswith(f"{prefix}:") and each not in still]
    await forget_alerts(redis, settled)


async def forget_alerts(redis: Redis, causes: Collection[str]) -> None:
    """Close the open alerts about causes that are over; one that comes back is a new alert."""
    if causes:
        await redis.delete(*(f"desk:alarmed:{each}" for each in causes))
        await close_alerts(redis, causes)


async def raise_alert_once(
    redis: Redis, kind: AlertKind, language: str, about: str, within: int = DAY
) -> bool:
    """Add an alert, unless one of the same cause was added `within` seconds; was it?

    Killed in between it is added a minute later.
    """
    cause = f"desk:alarmed:{about}"
    is_new = bool(await redis.set(cause, kind.key, nx=True, ex=min(RAISED_AFTER, within)))
    if is_new:
        await raise_alert(redis, kind, language, about)
        await redis.set(cause, kind.key, ex=within)
    return is_new


async def raise_alert_of_new(
    redis: Redis, kind: AlertKind, subjects: Iterable[str], within: int, language: str = ""
) -> list[str]:
    """Add one alert for those without one `within` seconds; returns them.

    Killed in between it is raised twice.
    """
    keys = {each: f"desk:alarmed:{kind.key}:{each}" for each in subjects}
    new = [each for each, key in keys.items() if not await redis.exists(key)]
    if new:
        await raise_alert(redis, kind, language)
        for each in new:
            await redis.set(keys[each], "1", ex=within)
    return new
