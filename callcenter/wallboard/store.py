"""Queries of the wallboard: the ACD in Redis, and the calls of today in PostgreSQL."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import dropped_calls, statistics
from callcenter.appeals.calls import store as appeals
from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.state_history import pause_reasons
from callcenter.intake.queue_store import read_queue
from callcenter.platform.audit.queries import list_of_alerts
from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.monitoring.alerts import MAX_ALERTS, OPEN, TAKEN
from callcenter.telephony.acd.command_bus import first_id
from callcenter.telephony.acd.paused_queues import read_pauses
from callcenter.telephony.acd.rules.priority import CALLBACK, MESSAGE
from callcenter.telephony.callbacks import queries as callbacks
from callcenter.telephony.reconciliation.store import sum_refused
from callcenter.wallboard.alert_groups import group_alerts
from callcenter.wallboard.rules import (
    COVERS_SEPARATOR,
    AlertGroup,
    AppealSummary,
    DistributorSnapshot,
    RaisedAlert,
    TodayNow,
    WaitingCall,
    find_unacknowledged,
)

OVERDUE_AFTER = timedelta(minutes=30)  # a callback or message due for longer is overdue
CLOCKS_DIFFER = timedelta(minutes=5)  # of two machines, at most


async def read_distributor(redis: Redis, presence: PresenceService) -> DistributorSnapshot:
    """The state of the ACD now; without a timeout of its own.

    Raises DistributorUnavailable, RedisError.
    """
    async with redis.pipeline(transaction=True) as together:
        together.time()
        together.hgetall("desk:calls")
        together.hgetall("desk:roster")
        together.zrange("desk:controllers", 0, -1, withscores=True)
        together.zrange("desk:waiting", 0, -1, withscores=True)
        together.lrange("desk:alarms", 0, MAX_ALERTS - 1)
        together.hgetall(OPEN)
        together.hgetall(TAKEN)
        together.hgetall("desk:holders")
        together.hgetall("desk:holds")
        together.zrange("desk:wrap_up", 0, -1, withscores=True)
        (
            clock,
            calls,
            roster,
            controllers,
            places,
            newest,
            opened,
            taken,
            holders,
            holds,
            wrap_ups,
        ) = await together.execute()
    at = clock[0] + clock[1] / 1_000_000
    alive = _alive(at, controllers)
    return DistributorSnapshot(
        at=at,
        waiting=_waiting(calls, alive, dict(places)),
        statuses=await presence.everyone(),
        languages={extension: spoken.split() for extension, spoken in roster.items()},
        controllers=len(alive),
        alerts=group_alerts(newest, opened, taken, at),
        holders={
            extension: first_id(holder.split(" ")[0]) for extension, holder in holders.items()
        },
        holds=read_pauses(holds, at),
        wrap_ups=dict(wrap_ups),
    )


async def count_waiting(redis: Redis) -> int:
    """How many callers wait, as `read_distributor` lists them; without a timeout of its own.

    Raises RedisError.
    """
    async with redis.pipeline(transaction=True) as together:
        together.time()
        together.hgetall("desk:calls")
        together.zrange("desk:controllers", 0, -1, withscores=True)
        clock, calls, controllers = await together.execute()
    alive = _alive(clock[0] + clock[1] / 1_000_000, controllers)
    return len(_waiting(calls, alive, {}))


def _alive(at: float, controllers: Sequence[tuple[str, float]]) -> set[str]:
    """The controllers whose heartbeat has not expired by then."""
    return {name for name, until in controllers if until > at}


async def read_open_alerts(redis: Redis) -> list[AlertGroup]:
    """The alerts that nobody has acknowledged, the gravest first. Raises RedisError."""
    async with redis.pipeline(transaction=True) as together:
        together.hgetall(OPEN)
        together.hgetall(TAKEN)
        opened, taken = await together.execute()
    return group_alerts((), opened, taken, 0)


async def list_unacknowledged(
    connection: AsyncConnection, since: datetime, now: datetime
) -> list[RaisedAlert]:
    """The alerts since then, by the register or the audit log, that nobody acknowledged.

    The log is read last: it has what was acknowledged meanwhile. What is dated in the future is
    not raised yet, and covers nothing.
    """
    events = await appeals.list_alerts(connection, since)
    entries = await list_of_alerts(connection, since, now + CLOCKS_DIFFER)
    written: list[appeals.EventRow | Entry] = [*events, *entries]
    raised = [
        RaisedAlert(str(each.detail["raises"]), str(each.detail.get("language", "")), each.at)
        for each in written
        if "raises" in each.detail and each.at <= now
    ]
    covered = {
        alert_id: each.at
        for each in sorted(entries, key=lambda entry: entry.at)  # the newest last
        for alert_id in str(each.detail.get("covers", "")).split(COVERS_SEPARATOR)
    }
    return find_unacknowledged(raised, covered)


def _waiting(
    calls: Mapping[str, str], alive: set[str], places: Mapping[str, float]
) -> list[WaitingCall]:
    """Callers of live controllers; the ACD removes those of a dead one later.

    Places of callbacks are left out: no caller hears music there.
    """
    entries = [
        (call, *entry.split(" "))
        for call, entry in calls.items()
        if not call.startswith((CALLBACK, MESSAGE))
    ]
    return [
        WaitingCall(
            language,
            float(arrived),
            call,
            # A head start, see acd/rules/priority.py.
            goes_first=places.get(call, math.inf) < float(arrived),
        )
        for call, controller, language, arrived, _ in entries
        if controller in alive
    ]


async def none_answered(
    connection: AsyncConnection, now: datetime, window: timedelta, goal: timedelta
) -> list[str]:
    """Languages with waiting callers within the window, of whom none was answered."""
    return await statistics.list_unanswered_languages(connection, now - window, now, goal=goal)


async def read_today(connection: AsyncConnection, now: datetime, goal: timedelta) -> TodayNow:
    """Calls that came in since midnight in Asia/Almaty, and names of consultants and pauses."""
    since = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    counted = await statistics.count_outcomes(connection, since, goal=goal)
    open_callbacks, overdue = await callbacks.count_open(connection, now - OVERDUE_AFTER)
    not_honoured, other_language = await statistics.count_languages(connection, since)
    return TodayNow(
        outcomes={row.outcome: row.calls for row in counted},
        answered=sum(row.answered for row in counted),
        in_time=sum(row.in_time for row in counted),
        marks=sum(row.marks for row in counted),
        marked=sum(row.marked for row in counted),
        callbacks=open_callbacks,
        callbacks_overdue=overdue,
        cut_off=len(await dropped_calls.list_undecided(connection, now)),
        not_honoured=not_honoured,
        other_language=other_language,
        refused=await sum_refused(connection, since),
        names={each.extension: each.name for each in await consultants.active(connection)},
        reasons={
            each.code: {"kk": each.name_kk, "ru": each.name_ru}
            for each in await pause_reasons(connection)
        },
        calls={
            each.call_id: AppealSummary(
                each.number, each.language, mask(each.caller) if each.caller else None, each.urgent
            )
            for each in await statistics.list_live_calls(connection)
        },
        written=await read_queue(connection, now),
    )
