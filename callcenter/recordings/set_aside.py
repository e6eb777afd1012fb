"""Recordings that people have to look at: failed, or of another length than their conversation.

Each stays set aside until somebody says what became of it.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import AskedWrongly
from callcenter.recordings.tables import IS_ASIDE, recording

LONGEST_TEXT = 1000


class Aside(NamedTuple):
    """A recording that failed, or that lasts two seconds more or less than its conversation."""

    id: UUID
    state: str
    spool_name: str
    started_at: datetime
    why: str


_ASIDE = text(
    f"""
    SELECT id, state, spool_name, started_at, coalesce(fault, format(
        'it lasts %s s, its conversation %s s',
        round(duration_ms / 1000.0, 1), round(extract(epoch FROM ended_at - started_at), 1)
    )) AS why
    FROM recording WHERE {IS_ASIDE} ORDER BY started_at
    """  # noqa: S608 (nobody gives it)
)


async def aside(connection: AsyncConnection) -> list[Aside]:
    """Those that nobody has dealt with, the oldest first."""
    return [Aside(*row) for row in await connection.execute(_ASIDE)]


async def deal_with(
    connection: AsyncConnection, recording_ids: Collection[UUID], who: str, reason: str
) -> None:
    """Set them aside no more, with an entry in the audit log for each: what became of it.

    Raises AskedWrongly when one is not set aside, or without a reason.
    """
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_TEXT or not why.isprintable():
        raise AskedWrongly(f"say what became of them, in up to {LONGEST_TEXT} characters")
    dealt_with = await connection.execute(
        update(recording)
        .where(recording.c.id.in_(recording_ids), text(IS_ASIDE))
        .values(dealt_with_at=datetime.now(UTC))
        .returning(recording.c.id)
    )
    done = set(dealt_with.scalars())
    if missing := set(recording_ids) - done:
        raise AskedWrongly(f"not set aside: {' '.join(sorted(map(str, missing)))}")
    for each in sorted(done):
        await record(
            connection,
            who=who,
            action=Action.RECORDING_DEALT_WITH,
            subject=f"recording:{each}",
            detail={"reason": why},
        )
