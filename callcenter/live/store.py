"""Where live figures are read: the desk in Redis, and the calls of today in PostgreSQL."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import cut_off
from callcenter.appeals.callers import mask
from callcenter.appeals.outgoing import first_moment
from callcenter.consultants import store as consultants
from callcenter.consultants.dispatch import first_id
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import pause_reasons
from callcenter.consultants.holds import read_holds
from callcenter.consultants.order import CALLBACK, MESSAGE
from callcenter.live.figures import GOAL, Alarmed, DeskNow, OfRegister, TodayNow, WaitingCall
from callcenter.web.words import ZONE

OVERDUE = timedelta(minutes=30)  # that a callback or message is due before a supervisor should look
ALARMS = 5  # newest alarms that are looked at

# The events of a call are found by its appeal, and only those of calls that reached a consultant
# are looked at.
_TODAY = text(
    """
    SELECT appeal.outcome,
        count(*) AS calls,
        count(moments.connected) AS answered,
        count(*) FILTER (WHERE moments.connected - moments.waiting <= :goal) AS in_time,
        count(moments.mark) AS marks,
        coalesce(sum(moments.mark), 0) AS marked
    FROM appeal LEFT JOIN LATERAL (
        SELECT min(at) FILTER (WHERE kind = 'waiting') AS waiting,
            min(at) FILTER (WHERE kind = 'connected') AS connected,
            max((detail->>'mark')::int) FILTER (WHERE kind = 'surveyed') AS mark
        FROM appeal_event
        WHERE appeal_id = appeal.id AND appeal.consultant_id IS NOT NULL
            AND kind IN ('waiting', 'connected', 'surveyed')
    ) AS moments ON true
    WHERE appeal.received_at >= :since AND appeal.channel = 'call'
    GROUP BY appeal.outcome
    """
)


# Those that began long ago have lost their calls, and wait for the sweep that says so.
_LIVE = text(
    """
    SELECT call_id, number, language, caller_number AS caller, urgent FROM appeal
    WHERE outcome IS NULL AND call_id IS NOT NULL
    ORDER BY received_at DESC LIMIT 1000
    """
)
# Who hung up at once was not kept waiting; what was said in calls of ours later is no answer.
_NONE_ANSWERED = text(
    """
    SELECT appeal.language FROM appeal CROSS JOIN LATERAL (
        SELECT min(at) FILTER (WHERE kind = 'waiting') AS waiting,
            min(at) FILTER (WHERE kind = 'connected') AS connected
        FROM appeal_event
        WHERE appeal_id = appeal.id AND seq < :ours AND kind IN ('waiting', 'connected')
    ) AS moments
    WHERE appeal.received_at >= :since AND appeal.channel = 'call' AND (
        moments.connected IS NOT NULL
        OR coalesce(appeal.ended_at, :now) - moments.waiting >= :goal
    )
    GROUP BY appeal.language
    HAVING count(moments.connected) = 0
    """
)
_OF_PROMISE = text(
    """
    SELECT number FROM appeal WHERE id = (
        SELECT appeal_id FROM promise WHERE id = CAST(:id AS uuid)
    )
    """
)
_OF_CALL = text("SELECT number FROM appeal WHERE call_id = :id")
_LAST_OF = text(
    """
    SELECT number FROM (
        (SELECT number, received_at AS at FROM appeal
            WHERE consultant_id = (SELECT id FROM consultant WHERE extension = :extension)
                AND received_at >= :since
            ORDER BY received_at DESC LIMIT 1)
        UNION ALL
        (SELECT appeal.number, began_at AS at
            FROM outgoing_call JOIN appeal ON appeal.id = appeal_id
            WHERE outgoing_call.consultant_id
                = (SELECT id FROM consultant WHERE extension = :extension)
                AND began_at >= :since
            ORDER BY began_at DESC LIMIT 1)
    ) AS talks ORDER BY at DESC LIMIT 1
    """
)
_CALLBACKS = text(
    """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE due_at < :late) AS overdue
    FROM promise WHERE state = 'open'
    """
)

# Each of the two kinds has an index of its own.
_LANGUAGES = text(
    """
    SELECT
        (SELECT count(DISTINCT appeal_id) FROM appeal_event
            WHERE kind = 'nobody_speaks' AND at >= :since) AS not_honoured,
        (SELECT count(DISTINCT agreed.appeal_id) FROM appeal_event AS agreed
            JOIN appeal_event AS talked USING (appeal_id)
            WHERE agreed.kind = 'other_language' AND agreed.at >= :since
                AND talked.kind = 'connected' AND talked.at >= agreed.at) AS other
    """
)


async def read_desk(redis: Redis, duty: DutyDesk) -> DeskNow:
    """What the desk knows now. Raises DeskClosed or RedisError; has no limit of time of its own."""
    async with redis.pipeline(transaction=True) as together:
        together.time()
        together.hgetall("desk:calls")
        together.hgetall("desk:roster")
        together.zrange("desk:controllers", 0, -1, withscores=True)
        together.lrange("desk:alarms", 0, ALARMS - 1)
        together.hgetall("desk:holders")
        together.hgetall("desk:holds")
        clock, calls, roster, controllers, alarms, holders, holds = await together.execute()
    at = clock[0] + clock[1] / 1_000_000
    alive = {name for name, until in controllers if until > at}
    return DeskNow(
        at=at,
        waiting=_waiting(calls, alive),
        duties=await duty.everyone(),
        languages={extension: spoken.split() for extension, spoken in roster.items()},
        controllers=len(alive),
        alarms=[Alarmed(**json.loads(alarm)) for alarm in alarms],
        holders={
            extension: first_id(holder.split(" ")[0]) for extension, holder in holders.items()
        },
        holds=read_holds(holds, at),
    )


def _waiting(calls: Mapping[str, str], alive: set[str]) -> list[WaitingCall]:
    """Callers of controllers that live: what a dead one left is taken away by the desk later.

    Places of callbacks and messages are no callers who hear music.
    """
    entries = [
        (call, *entry.split(" "))
        for call, entry in calls.items()
        if not call.startswith((CALLBACK, MESSAGE))
    ]
    return [
        WaitingCall(language, float(arrived), call)
        for call, controller, language, arrived, _ in entries
        if controller in alive
    ]


async def none_answered(connection: AsyncConnection, now: datetime, window: timedelta) -> list[str]:
    """Languages for which callers have waited within the window, and none of them was answered."""
    moment = {"since": now - window, "now": now}
    goal = {"goal": timedelta(seconds=GOAL), "ours": first_moment(1)}
    rows = await connection.execute(_NONE_ANSWERED, moment | goal)
    return sorted(language for language in rows.scalars() if language)


async def appeal_of_message(connection: AsyncConnection, place: str) -> str | None:
    """The number of the appeal whose message has this place at the desk; None: no message has."""
    if not place.startswith(MESSAGE):
        return None
    promise_id = {"id": place.removeprefix(MESSAGE)}
    return (await connection.execute(_OF_PROMISE, promise_id)).scalar_one_or_none()


async def appeal_of_call(connection: AsyncConnection, place: str) -> str | None:
    """The number of the appeal whose call, or callback, has this place; None: it has none yet."""
    if place.startswith(CALLBACK):
        asked = _OF_PROMISE, {"id": place.removeprefix(CALLBACK)}
    else:
        asked = _OF_CALL, {"id": first_id(place)}
    return (await connection.execute(*asked)).scalar_one_or_none()


async def last_appeal_of(
    connection: AsyncConnection, extension: str, since: datetime
) -> str | None:
    """The number of the appeal of the consultant's newest call that began since then (UTC)."""
    asked = {"extension": extension, "since": since}
    return (await connection.execute(_LAST_OF, asked)).scalar_one_or_none()


async def read_today(connection: AsyncConnection, now: datetime) -> TodayNow:
    """Calls that came in since midnight in Asia/Almaty, and names of consultants and pauses."""
    since = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = await connection.execute(_TODAY, {"since": since, "goal": timedelta(seconds=GOAL)})
    counted = rows.all()
    late = {"late": now - OVERDUE}
    callbacks = (await connection.execute(_CALLBACKS, late)).one()
    languages = (await connection.execute(_LANGUAGES, {"since": since})).one()
    return TodayNow(
        outcomes={row.outcome: row.calls for row in counted},
        answered=sum(row.answered for row in counted),
        in_time=sum(row.in_time for row in counted),
        marks=sum(row.marks for row in counted),
        marked=sum(row.marked for row in counted),
        callbacks=callbacks.waiting,
        callbacks_overdue=callbacks.overdue,
        cut_off=len(await cut_off.waiting(connection, now)),
        not_honoured=languages.not_honoured,
        other_language=languages.other,
        names={each.extension: each.name for each in await consultants.active(connection)},
        reasons={
            each.code: {"kk": each.name_kk, "ru": each.name_ru}
            for each in await pause_reasons(connection)
        },
        calls={
            each.call_id: OfRegister(
                each.number, each.language, mask(each.caller) if each.caller else None, each.urgent
            )
            for each in await connection.execute(_LIVE)
        },
    )
