"""Quarantined recordings in PostgreSQL."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.registry import offers
from callcenter.recordings.extensions import RetentionSubject
from callcenter.recordings.tables import IS_QUARANTINED, recording


@dataclass(frozen=True, slots=True)
class QuarantinedRecording:
    """A recording that failed, or differs from its conversation by two seconds or more.

    `appeal` is the number of its appeal.
    """

    id: UUID
    state: str
    spool_name: str
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    fault: str | None
    appeal: str

    @property
    def has_failed(self) -> bool:
        return self.state == "failed"

    @property
    def recorded(self) -> timedelta:
        """The length of the recording."""
        return timedelta(milliseconds=self.duration_ms or 0)

    @property
    def talked(self) -> timedelta:
        """The length of its conversation."""
        return (self.ended_at or self.started_at) - self.started_at

    @property
    def why(self) -> str:
        """The fault in the words of logs."""
        if self.has_failed:
            return self.fault or ""
        return (
            f"it lasts {self.recorded.total_seconds():.1f} s,"
            f" its conversation {self.talked.total_seconds():.1f} s"
        )


async def list_quarantined(connection: AsyncConnection) -> list[QuarantinedRecording]:
    """Unresolved recordings, the oldest first."""
    [subject] = offers(RetentionSubject)
    appeal = subject.query.subquery("appeal")
    columns = [recording.c[name] for name in QuarantinedRecording.__slots__[:-1]]
    query = (
        select(*columns, *[appeal.c.number])
        .join(appeal, appeal.c.appeal_id == recording.c.appeal_id)
        .where(text(IS_QUARANTINED))
        .order_by(recording.c.started_at)
    )
    return [QuarantinedRecording(*row) for row in await connection.execute(query)]


async def count_quarantined(connection: AsyncConnection) -> int:
    """Count unresolved recordings."""
    query = select(func.count()).select_from(recording).where(text(IS_QUARANTINED))
    return int((await connection.execute(query)).scalar_one())


async def mark_resolved(connection: AsyncConnection, recording_ids: Collection[UUID]) -> set[UUID]:
    """Take recordings out of quarantine; returns those that were in it."""
    resolved = await connection.execute(
        update(recording)
        .where(recording.c.id.in_(recording_ids), text(IS_QUARANTINED))
        .values(dealt_with_at=datetime.now(UTC))
        .returning(recording.c.id)
    )
    return set(resolved.scalars())
