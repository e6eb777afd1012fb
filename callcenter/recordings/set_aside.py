"""Recordings that people have to look at: failed, or of another length than their conversation."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection


class Aside(NamedTuple):
    """A recording that failed, or that lasts two seconds more or less than its conversation."""

    id: UUID
    state: str
    spool_name: str
    why: str


_ASIDE = text(
    """
    SELECT id, state, spool_name, coalesce(fault, format(
        'it lasts %s s, its conversation %s s',
        round(duration_ms / 1000.0, 1), round(extract(epoch FROM ended_at - started_at), 1)
    )) AS why
    FROM recording
    WHERE (state = 'failed' OR state = 'stored'
            AND abs(extract(epoch FROM ended_at - started_at) * 1000 - duration_ms) > 2000)
        AND started_at >= coalesce(:since, '-infinity'::timestamptz)
        AND started_at < coalesce(:before, 'infinity'::timestamptz)
    ORDER BY started_at
    """
).bindparams(*(bindparam(each, type_=DateTime(timezone=True)) for each in ("since", "before")))


async def aside(
    connection: AsyncConnection, since: datetime | None = None, before: datetime | None = None
) -> list[Aside]:
    """Recordings that began since and before then, the oldest first."""
    values = {"since": since, "before": before}
    return [Aside(*row) for row in await connection.execute(_ASIDE, values)]
