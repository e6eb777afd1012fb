"""Holding recordings from retention: while one is held, for whatever reason, it is not deleted.

A recording may be held for several reasons at once, as when two demands ask for it; each ends by
itself.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import exists, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.recordings.tables import recording_hold

# In one order, so that two at once do not deadlock; with one parameter, however many they are.
_HOLD = text(
    """
    INSERT INTO recording_hold (recording_id, reason, held_at)
    SELECT id, :reason, :now FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
    ON CONFLICT (recording_id, reason) DO UPDATE SET ended_at = NULL
    """
)


async def hold(connection: AsyncConnection, recording_ids: Collection[UUID], reason: str) -> None:
    """Hold recordings for a reason, such as `demand:26-0001`, from now on. Repeatable."""
    values = {"ids": list(recording_ids), "reason": reason, "now": datetime.now(UTC)}
    await connection.execute(_HOLD, values)


async def let_go(connection: AsyncConnection, reason: str) -> int:
    """End the hold of all recordings for this reason; other reasons go on. Repeatable.

    Returns how many were held.
    """
    ended = await connection.execute(
        update(recording_hold)
        .where(recording_hold.c.reason == reason, recording_hold.c.ended_at.is_(None))
        .values(ended_at=datetime.now(UTC))
        .returning(recording_hold.c.recording_id)
    )
    return len(ended.all())


async def let_go_one(connection: AsyncConnection, recording_id: UUID, reason: str) -> bool:
    """End the hold of one recording for this reason; False when there was none."""
    ended = await connection.execute(
        update(recording_hold)
        .where(
            recording_hold.c.recording_id == recording_id,
            recording_hold.c.reason == reason,
            recording_hold.c.ended_at.is_(None),
        )
        .values(ended_at=datetime.now(UTC))
        .returning(recording_hold.c.recording_id)
    )
    return ended.first() is not None


async def held_for(connection: AsyncConnection, reason: str) -> bool:
    """Whether anything is held for this reason now."""
    held = exists().where(recording_hold.c.reason == reason, recording_hold.c.ended_at.is_(None))
    return bool((await connection.execute(select(held))).scalar_one())


async def reasons_of(connection: AsyncConnection, recording_id: UUID) -> list[str]:
    """Why the recording is held now; empty when it is not."""
    query = select(recording_hold.c.reason).where(
        recording_hold.c.recording_id == recording_id, recording_hold.c.ended_at.is_(None)
    )
    return list((await connection.execute(query.order_by(recording_hold.c.reason))).scalars())
