"""Statistics of calls: what came in, what was answered, and in which language."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal_column, select, text, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.calls.tables import appeal, appeal_event, outgoing_call
from callcenter.consultants.tables import consultant
from callcenter.recordings.tables import recording


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Calls with an outcome (None: in progress); `marks` were given, of `marked` in sum."""

    outcome: str | None
    calls: int
    answered: int
    in_time: int  #: answered within the goal
    marks: int
    marked: int


@dataclass(frozen=True, slots=True)
class LiveCall:
    """Call, of those without an outcome if it is listed.

    `caller` is whoever is at the other end: personal data, to be masked.
    """

    call_id: str
    number: str
    language: str | None
    caller: str | None
    urgent: Sequence[str]


# The events of a call are found by its appeal, and only those of calls that reached a consultant
# are looked at.
_OUTCOMES = text(
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
# Older ones have lost their calls, and wait for recovery to close them.
_LIVE = text(
    """
    SELECT call_id, number, language, caller_number AS caller, urgent FROM appeal
    WHERE outcome IS NULL AND call_id IS NOT NULL
    ORDER BY received_at DESC LIMIT 1000
    """
)
# A caller who hung up at once did not wait; a conversation in a later outbound call is no answer.
_NONE_ANSWERED = text(
    """
    SELECT appeal.language FROM appeal CROSS JOIN LATERAL (
        SELECT min(at) FILTER (WHERE kind = 'waiting') AS waiting,
            min(at) FILTER (WHERE kind = 'connected') AS connected
        FROM appeal_event
        WHERE appeal_id = appeal.id AND seq < :outbound AND kind IN ('waiting', 'connected')
    ) AS moments
    WHERE appeal.received_at >= :since AND appeal.channel = 'call' AND (
        moments.connected IS NOT NULL
        OR coalesce(appeal.ended_at, :now) - moments.waiting >= :goal
    )
    GROUP BY appeal.language
    HAVING count(moments.connected) = 0
    """
)
# A week before the first call of the register is none without calls.
_EARLIER_WEEKS = text(
    """
    SELECT (
        SELECT count(*) FROM appeal
        WHERE channel = 'call' AND received_at > moved.since AND received_at <= moved.until
    )
    FROM generate_series(1, :weeks) AS week CROSS JOIN LATERAL (
        SELECT CAST(:since AS timestamptz) - week * interval '168 hours' AS since,
            CAST(:until AS timestamptz) - week * interval '168 hours' AS until
    ) AS moved
    WHERE moved.since >= (SELECT min(received_at) FROM appeal WHERE channel = 'call')
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


async def count_outcomes(
    connection: AsyncConnection, since: datetime, *, goal: timedelta
) -> list[OutcomeCount]:
    """Count inbound calls received since then, by outcome."""
    rows = await connection.execute(_OUTCOMES, {"since": since, "goal": goal})
    return [OutcomeCount(*row) for row in rows]


async def list_live_calls(connection: AsyncConnection) -> list[LiveCall]:
    """Return inbound calls without an outcome, the newest first."""
    return [LiveCall(*row) for row in await connection.execute(_LIVE)]


async def find_inbound_call(connection: AsyncConnection, call_id: str) -> LiveCall | None:
    """Find an inbound call by the id of the switch; None while it is not written yet."""
    query = select(
        appeal.c.call_id,
        appeal.c.number,
        appeal.c.language,
        appeal.c.caller_number,
        appeal.c.urgent,
    ).where(appeal.c.call_id == call_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else LiveCall(*row)


async def list_unanswered_languages(
    connection: AsyncConnection, since: datetime, now: datetime, *, goal: timedelta
) -> list[str]:
    """Return languages with callers since then that waited, of whom none was answered."""
    values = {"since": since, "now": now, "goal": goal, "outbound": first_seq(1)}
    rows = await connection.execute(_NONE_ANSWERED, values)
    return sorted(language for language in rows.scalars() if language)


async def find_last_call_at(connection: AsyncConnection, now: datetime) -> datetime | None:
    """Find when the newest call came in.

    A call that is dated later than now was written by a wrong clock, and is left out.
    """
    query = select(func.max(appeal.c.received_at)).where(
        appeal.c.channel == "call", appeal.c.received_at <= now
    )
    found: datetime | None = await connection.scalar(query)
    return found


async def count_in_earlier_weeks(
    connection: AsyncConnection, since: datetime, until: datetime, *, weeks: int
) -> list[int]:
    """Count the calls of this stretch in each earlier week, of those since the first call."""
    values = {"since": since, "until": until, "weeks": weeks}
    return [*(await connection.execute(_EARLIER_WEEKS, values)).scalars()]


async def count_languages(connection: AsyncConnection, since: datetime) -> tuple[int, int]:
    """Count calls since then whose language nobody spoke, and those served in the other one."""
    row = (await connection.execute(_LANGUAGES, {"since": since})).one()
    return row.not_honoured, row.other


async def count_own_calls(
    connection: AsyncConnection, extension: str, since: datetime
) -> tuple[int, int, int]:
    """Count a consultant's inbound calls since then, and marks with their sum."""
    given = (
        select(func.max(appeal_event.c.detail["mark"].as_integer()).label("mark"))
        .where(appeal_event.c.appeal_id == appeal.c.id, appeal_event.c.kind == "surveyed")
        .lateral("given")
    )
    marks = (func.count(given.c.mark), func.coalesce(func.sum(given.c.mark), 0))
    query = (
        select(func.count(), *marks)
        .select_from(appeal)
        .join(consultant, consultant.c.id == appeal.c.consultant_id)
        .outerjoin(given, true())
        .where(
            consultant.c.extension == extension,
            appeal.c.channel == "call",
            appeal.c.received_at >= since,
        )
    )
    calls, marked, total = (await connection.execute(query)).one()
    return calls, marked, total


async def find_outbound_call(connection: AsyncConnection, extension: str) -> LiveCall | None:
    """Find the call that a consultant is making now; what was urgent before is not so in it."""
    query = (
        select(appeal.c.call_id, appeal.c.number, appeal.c.language, outgoing_call.c.number)
        .join_from(outgoing_call, appeal, appeal.c.id == outgoing_call.c.appeal_id)
        .join(consultant, consultant.c.id == outgoing_call.c.consultant_id)
        .where(consultant.c.extension == extension, outgoing_call.c.outcome.is_(None))
        .order_by(outgoing_call.c.began_at.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else LiveCall(*row, urgent=())


async def find_last_call(
    connection: AsyncConnection, extension: str, since: datetime
) -> tuple[str, Sequence[str]] | None:
    """Find the appeal of a consultant's newest call that began since then: number, urgencies.

    A call that was given to somebody else is one too: its conversation has a recording.
    """
    own = select(consultant.c.id).where(consultant.c.extension == extension).scalar_subquery()
    columns = (appeal.c.number, appeal.c.urgent)
    inbound = (
        select(*columns, appeal.c.received_at.label("at"))
        .where(appeal.c.consultant_id == own, appeal.c.received_at >= since)
        .order_by(appeal.c.received_at.desc())
        .limit(1)
        .subquery()
    )
    outbound = (
        select(*columns, outgoing_call.c.began_at.label("at"))
        .join_from(outgoing_call, appeal, appeal.c.id == outgoing_call.c.appeal_id)
        .where(outgoing_call.c.consultant_id == own, outgoing_call.c.began_at >= since)
        .order_by(outgoing_call.c.began_at.desc())
        .limit(1)
        .subquery()
    )
    # Two queries, as there are indexes: one is sealed within seconds of its end.
    recorded = [
        select(*columns, recording.c.started_at.label("at"))
        .join_from(recording, appeal, appeal.c.id == recording.c.appeal_id)
        .where(
            recording.c.consultant_id == own,
            recording.c.started_at >= since,
            recording.c.state == literal_column(f"'{state}'"),
        )
        .order_by(recording.c.started_at.desc())
        .limit(1)
        .subquery()
        for state in ("stored", "closed")
    ]
    calls = union_all(*map(select, (inbound, outbound, *recorded))).subquery()
    query = select(calls.c.number, calls.c.urgent).order_by(calls.c.at.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.number, row.urgent)
