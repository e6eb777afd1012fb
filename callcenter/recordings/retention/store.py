"""Holds and erasures of recordings in PostgreSQL.

A held recording is not erased, whatever the reason of the hold. It may be held for several reasons
at once, as when two demands match it; each hold ends by itself.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    cast,
    exists,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.registry import offers
from callcenter.recordings.extensions import RetentionSubject
from callcenter.recordings.tables import recording, recording_erasure, recording_hold

# In one order, so that two at once do not deadlock; with one parameter, however many they are.
_HOLD = text(
    """
    INSERT INTO recording_hold (recording_id, reason, held_at)
    SELECT id, :reason, :now FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
    ON CONFLICT (recording_id, reason) DO UPDATE SET ended_at = NULL
    """
)


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """A request of erasure; `order` is its legal order (number and date), if any.

    `state` is asked, approved, refused or done; `decided_*` are empty while it is asked.
    """

    id: UUID
    recording_id: UUID
    state: str
    reason: str
    order: str | None
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None


@dataclass(frozen=True, slots=True)
class RetentionExpired:
    """A recording whose retention time is over, and the number of its appeal."""

    id: UUID
    started_at: datetime
    appeal: str


@dataclass(frozen=True, slots=True)
class ErasedRecording:
    """An erasure that was approved, with all that it takes to repeat it after a restore.

    `ended_at` and `sha256` are of the recording; a note of an earlier version has neither.
    """

    recording_id: UUID
    erasure_id: UUID
    order: str | None
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime
    decision: str
    ended_at: datetime | None = None
    sha256: str | None = None


_DECISION = ErasedRecording.__slots__[2:-2]  # what of it stands with the request
_columns = [recording_erasure.c[name] for name in ErasureRequest.__slots__]


async def hold(connection: AsyncConnection, recording_ids: Collection[UUID], reason: str) -> None:
    """Hold recordings for a reason, see `HoldKind.reason`. Repeatable."""
    values = {"ids": list(recording_ids), "reason": reason, "now": datetime.now(UTC)}
    await connection.execute(_HOLD, values)


async def release(connection: AsyncConnection, reason: str) -> int:
    """End the holds of all recordings for this reason; other reasons go on. Repeatable.

    Returns how many were held.
    """
    ended = await connection.execute(
        update(recording_hold)
        .where(recording_hold.c.reason == reason, recording_hold.c.ended_at.is_(None))
        .values(ended_at=datetime.now(UTC))
        .returning(recording_hold.c.recording_id)
    )
    return len(ended.all())


async def release_one(connection: AsyncConnection, recording_id: UUID, reason: str) -> bool:
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


async def is_held_for(connection: AsyncConnection, reason: str) -> bool:
    """Whether any recording is held for this reason now."""
    held = exists().where(recording_hold.c.reason == reason, recording_hold.c.ended_at.is_(None))
    return bool((await connection.execute(select(held))).scalar_one())


async def reasons_of(connection: AsyncConnection, recording_id: UUID) -> list[str]:
    """The reasons for which the recording is held now; empty when it is not."""
    query = select(recording_hold.c.reason).where(
        recording_hold.c.recording_id == recording_id, recording_hold.c.ended_at.is_(None)
    )
    return list((await connection.execute(query.order_by(recording_hold.c.reason))).scalars())


async def lock_stored(connection: AsyncConnection, recording_id: UUID) -> None:
    """Lock a stored recording against holds and erasure. Raises NotFound."""
    query = select(recording.c.id).where(
        recording.c.id == recording_id, recording.c.state == "stored"
    )
    if (await connection.execute(query.with_for_update())).first() is None:
        raise NotFound("there is no stored recording with this id")


async def mark_erased(connection: AsyncConnection, recording_id: UUID) -> None:
    """Shut the recording for everybody; a worker removes its object."""
    await connection.execute(
        update(recording).where(recording.c.id == recording_id).values(state="erased")
    )


async def find_request(connection: AsyncConnection, erasure_id: UUID) -> ErasureRequest:
    """The request of erasure with this id, which is there."""
    query = select(*_columns).where(recording_erasure.c.id == erasure_id)
    return ErasureRequest(*(await connection.execute(query)).one())


async def list_waiting(connection: AsyncConnection) -> list[ErasureRequest]:
    """Requests without a decision, the oldest first."""
    query = select(*_columns).where(recording_erasure.c.state == "asked")
    rows = await connection.execute(query.order_by(recording_erasure.c.asked_at))
    return [ErasureRequest(*row) for row in rows]


async def list_expired(
    connection: AsyncConnection, days: Mapping[str, int], now: datetime, *, limit: int
) -> list[RetentionExpired]:
    """Stored recordings whose retention time is over, the oldest first.

    `days` is by the kind of the appeal's record, else by the outcome of its call, `*` for those
    that are not named; without a rule the retention time is unlimited. Left out: held recordings,
    and those with a request or a refusal.
    """
    [subject] = offers(RetentionSubject)
    appeal = subject.query.subquery("appeal")
    terms = cast(dict(days), JSONB)
    keys: list[ColumnElement[str]] = [
        func.coalesce(appeal.c.kind, ""),
        func.coalesce(appeal.c.outcome, ""),
        literal_column("'*'"),
    ]
    term = func.coalesce(*(cast(terms.op("->>")(key), Integer) for key in keys))
    is_held = exists().where(
        recording_hold.c.recording_id == recording.c.id, recording_hold.c.ended_at.is_(None)
    )
    is_requested = exists().where(
        recording_erasure.c.recording_id == recording.c.id,
        recording_erasure.c.state.in_(["asked", "refused"]),
    )
    query = (
        select(recording.c.id, recording.c.started_at, appeal.c.number)
        .join(appeal, appeal.c.appeal_id == recording.c.appeal_id)
        # No parameter: a plan made for any state could not use the index of this one.
        .where(recording.c.state == literal_column("'stored'"))
        .where(recording.c.started_at < now - func.make_interval(0, 0, 0, term))
        .where(~is_held, ~is_requested)
        .order_by(recording.c.started_at)
        .limit(limit)
    )
    return [RetentionExpired(*row) for row in await connection.execute(query)]


async def list_erased(
    connection: AsyncConnection, since: datetime, until: datetime
) -> list[ErasedRecording]:
    """Erasures that were approved from `since` to before `until`."""
    query = (
        select(
            recording_erasure.c.recording_id,
            recording_erasure.c.id,
            *(recording_erasure.c[name] for name in _DECISION),
            recording.c.ended_at,
            recording.c.sha256,
        )
        .join(recording, recording.c.id == recording_erasure.c.recording_id)
        .where(
            recording_erasure.c.state.in_(["approved", "done"]),
            recording_erasure.c.decided_at >= since,
            recording_erasure.c.decided_at < until,
        )
    )
    return [ErasedRecording(*row) for row in await connection.execute(query)]


async def repeat_erasure(
    connection: AsyncConnection, done: ErasedRecording, name_of: Callable[[datetime], str]
) -> bool:
    """Erase again what a restore brought back; False when it is erased.

    Whatever held it then was over. The backup may have it from before it was sealed; `name_of`
    gives the name of its object by its beginning. A worker removes the object, also one that is
    found later, after another repetition. Raises NotFound when it is not here, or was not sealed
    and the note is of an earlier version.
    """
    mine = recording.c.id == done.recording_id
    query = select(recording.c.state, recording.c.started_at, recording.c.sha256).where(mine)
    found = (await connection.execute(query.with_for_update())).one_or_none()
    if found is None or not (sha256 := found.sha256 or done.sha256):
        raise NotFound(f"there is no stored recording {done.recording_id} to erase")
    await connection.execute(
        update(recording)
        .where(mine)
        .values(
            state="erased",
            sha256=sha256,
            ended_at=func.coalesce(recording.c.ended_at, done.ended_at),
            store_name=func.coalesce(recording.c.store_name, name_of(found.started_at)),
        )
    )
    if found.state == "erased":
        return False
    values = {name: getattr(done, name) for name in _DECISION}
    await connection.execute(
        upsert(recording_erasure)
        .values(id=done.erasure_id, recording_id=done.recording_id, state="approved", **values)
        .on_conflict_do_update(index_elements=["id"], set_={"state": "approved", **values})
    )
    return True
