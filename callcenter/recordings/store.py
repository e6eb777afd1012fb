"""Recordings in PostgreSQL: from the first moment of a file to its place in the store."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Interval,
    Select,
    Text,
    Uuid,
    all_,
    any_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.teams import select_oneself, select_team
from callcenter.platform.storage.engine import Transaction, as_json, within
from callcenter.recordings.formats import Format, SealedObjectFacts, format_of
from callcenter.recordings.tables import recording, recording_erasure


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording. `state` is recording, closed, stored, failed, empty or erased.

    Once stored: `store_name` is the object of the sealed store, `sha256` (hexadecimal) and `bytes`
    are of that object, `audio_sha256`, `audio_bytes` and `duration_ms` of the audio in it, and
    `sealed_to` is the public key of the center's that it was sealed to, at `sealed_at` (empty for
    those of before that was noted). `fault`: why it failed, or what was left out of the stored one.
    Empty: neither side sent a packet, there is nothing to store. Once erased all but `store_name`
    stay.
    """

    id: UUID
    appeal_id: UUID
    consultant_id: UUID | None
    spool_name: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    store_name: str | None
    sha256: str | None
    bytes: int | None
    audio_sha256: str | None
    audio_bytes: int | None
    sealed_to: str | None
    sealed_at: datetime | None
    duration_ms: int | None
    fault: str | None

    @property
    def audio_format(self) -> Format:
        """The format of the stored audio."""
        return format_of(self.store_name)


class SealingBacklog(NamedTuple):
    """The end of the oldest recording that waits to be sealed or copied; None for none."""

    sealing: datetime | None
    copying: datetime | None


class DurationRange(NamedTuple):
    """A range of durations of conversations: from `least` to below `below`."""

    least: timedelta
    below: timedelta


class NewRecording(NamedTuple):
    """A recording that begins; `spool_name` is a file name in Settings.spool."""

    id: UUID
    appeal_id: UUID
    consultant_id: UUID | None
    spool_name: str
    started_at: datetime


class EndedRecording(NamedTuple):
    """A recording that ended; `is_empty` when neither side sent a packet."""

    id: UUID
    ended_at: datetime
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class SealResult:
    """The result of sealing a closed recording; the other fields are those of RecordingRow."""

    id: UUID
    state: Literal["stored", "failed"]
    store_name: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    audio_sha256: str | None = None
    audio_bytes: int | None = None
    sealed_to: str | None = None
    duration_ms: int | None = None
    fault: str | None = None


GROWTH_SPAN = timedelta(weeks=1)
CHANNEL = "closed_recordings"  #: of PostgreSQL's NOTIFY, by a trigger: one is to be sealed
_columns = [recording.c[name] for name in RecordingRow.__slots__]
_query = select(*_columns)
_BEGIN = """
    INSERT INTO recording (id, appeal_id, consultant_id, spool_name, state, started_at)
    SELECT id, appeal_id, consultant_id, spool_name, 'recording', started_at
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new
        (id uuid, appeal_id uuid, consultant_id uuid, spool_name text, started_at timestamptz)
    ON CONFLICT (id) DO NOTHING
"""
_CLOSE = """
    UPDATE recording
    SET state = CASE WHEN new.is_empty THEN 'empty' ELSE 'closed' END, ended_at = new.ended_at
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new
        (id uuid, ended_at timestamptz, is_empty boolean)
    WHERE recording.id = new.id AND recording.state = 'recording'
"""
_lasted = func.coalesce(recording.c.ended_at, recording.c.started_at) - recording.c.started_at
_CLOSED = (
    _query.where(
        # No parameter: a plan made for any state could not use the index of this one.
        recording.c.state == literal_column("'closed'"),
        recording.c.id != all_(bindparam("besides", type_=ARRAY(Uuid))),
        _lasted >= bindparam("least", type_=Interval),
        _lasted < bindparam("below", type_=Interval),
    )
    .order_by(recording.c.ended_at)
    .limit(bindparam("limit"))
)
_from_files = recording.c.spool_name == any_(bindparam("names", type_=ARRAY(Text)))
_SETTLED_FROM = _query.where(recording.c.state.in_(("stored", "empty")), _from_files)
_REGISTERED_IDS = select(recording.c.id).where(
    recording.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))
)
_REGISTERED_FILES = select(recording.c.spool_name).where(_from_files)
# One statement with one parameter, whatever the number of rows.
_given = (
    func.jsonb_to_recordset(bindparam("settled", type_=JSONB))
    .table_valued(*(column(name, recording.c[name].type) for name in SealResult.__slots__))
    .render_derived("given", with_types=True)
)
_SETTLE = (
    update(recording)
    .where(recording.c.id == _given.c.id, recording.c.state == "closed")
    .values(
        {name: _given.c[name] for name in SealResult.__slots__ if name != "id"}
        | {"sealed_at": case((_given.c.state == "stored", func.now()))}
    )
    .returning(*_columns)
)


async def begin_all(transaction: Transaction, recordings: Sequence[NewRecording]) -> None:
    """Insert recordings that the switch writes to these files. Repeatable.

    Raises InvalidRequest when one is not a plain name.
    """
    for each in recordings:
        if Path(each.spool_name).name != each.spool_name:
            raise InvalidRequest(f"{each.spool_name!r} is not a plain file name in the spool")
    if recordings:
        await transaction.run(_BEGIN, rows=as_json([each._asdict() for each in recordings]))


async def close_all(transaction: Transaction, ended: Sequence[EndedRecording]) -> None:
    """Mark recordings as closed; a worker seals them within seconds. Repeatable.

    Those that are empty it removes.
    """
    if ended:
        await transaction.run(_CLOSE, rows=as_json([each._asdict() for each in ended]))


async def begin(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    appeal_id: UUID,
    consultant_id: UUID | None,
    spool_name: str,
    started_at: datetime,
) -> None:
    """Insert one recording, as `begin_all`."""
    beginning = NewRecording(recording_id, appeal_id, consultant_id, spool_name, started_at)
    await begin_all(within(connection), [beginning])


async def close(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    ended_at: datetime,
    is_empty: bool = False,
) -> None:
    """Mark one recording as closed, as `close_all`."""
    await close_all(within(connection), [EndedRecording(recording_id, ended_at, is_empty)])


async def list_closed(
    connection: AsyncConnection, *, besides: Collection[UUID], lengths: DurationRange, limit: int
) -> list[RecordingRow]:
    """Recordings that are neither stored nor failed, in the order of closing."""
    values = {"besides": list(besides), **lengths._asdict(), "limit": limit}
    rows = await connection.execute(_CLOSED, values)
    return [RecordingRow(*row) for row in rows]


async def settle(connection: AsyncConnection, settled: Sequence[SealResult]) -> list[RecordingRow]:
    """Save the final results of closed recordings; returns those that are stored now."""
    if not settled:
        return []
    rows = [asdict(each) | {"id": str(each.id)} for each in settled]
    found = [RecordingRow(*row) for row in await connection.execute(_SETTLE, {"settled": rows})]
    return [row for row in found if row.state == "stored"]


async def list_settled_from(
    connection: AsyncConnection, spool_names: Sequence[str]
) -> list[RecordingRow]:
    """Recordings, of those that the switch wrote to these files, that need them no longer."""
    rows = await connection.execute(_SETTLED_FROM, {"names": list(spool_names)})
    return [RecordingRow(*row) for row in rows]


async def registered_files(connection: AsyncConnection, spool_names: Sequence[str]) -> set[str]:
    """The files of the spool, of these, that belong to a recording of the register."""
    rows = await connection.execute(_REGISTERED_FILES, {"names": list(spool_names)})
    return set(rows.scalars())


async def registered_ids(connection: AsyncConnection, recording_ids: Iterable[UUID]) -> set[UUID]:
    """The ids of these that are a recording of the register, in any state."""
    rows = await connection.execute(_REGISTERED_IDS, {"ids": list(recording_ids)})
    return set(rows.scalars())


async def adopt(
    connection: AsyncConnection, begun: NewRecording, ended_at: datetime, sealed: SealResult
) -> bool:
    """Insert a stored recording whose row was lost; False when the id or the file has a row."""
    stored = {name: each for name, each in asdict(sealed).items() if name != "id"}
    adopted = await connection.execute(
        insert(recording)
        .values(**begun._asdict(), ended_at=ended_at, sealed_at=func.now(), **stored)
        .on_conflict_do_nothing()
        .returning(recording.c.id)
    )
    return adopted.first() is not None


async def of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[RecordingRow]:
    """Recordings of an appeal, in the order of their start."""
    query = _query.where(recording.c.appeal_id == appeal_id).order_by(recording.c.started_at)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def correct_end(
    connection: AsyncConnection,
    recording_id: UUID,
    *,
    before: datetime,
    after: datetime,
) -> bool:
    """Correct when a recording ended, unless it is not `before` any more."""
    corrected = await connection.execute(
        update(recording)
        .where(recording.c.id == recording_id, recording.c.ended_at == before)
        .values(ended_at=after)
        .returning(recording.c.id)
    )
    return corrected.first() is not None


async def of_own_team(
    connection: AsyncConnection, *, recording_ids: Sequence[UUID], user_id: UUID
) -> frozenset[UUID]:
    """Ids of recordings whose consultant has the team of this user's consultant.

    Consultants without a team are one team. None when either is no consultant, as in a message.
    """
    return await _of_consultants(connection, recording_ids, select_team(user_id))


async def of_oneself(
    connection: AsyncConnection, *, recording_ids: Sequence[UUID], user_id: UUID
) -> frozenset[UUID]:
    """Ids of recordings whose consultant is this user."""
    return await _of_consultants(connection, recording_ids, select_oneself(user_id))


async def _of_consultants(
    connection: AsyncConnection, recording_ids: Sequence[UUID], consultants: Select[tuple[UUID]]
) -> frozenset[UUID]:
    query = select(recording.c.id).where(
        recording.c.id.in_(recording_ids), recording.c.consultant_id.in_(consultants)
    )
    return frozenset((await connection.execute(query)).scalars())


async def find(connection: AsyncConnection, recording_id: UUID) -> RecordingRow | None:
    """The recording with this id."""
    row = (await connection.execute(_query.where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else RecordingRow(*row)


async def stored_after(
    connection: AsyncConnection, after: UUID | None, *, limit: int
) -> list[RecordingRow]:
    """Stored recordings after that id, in the order of their ids."""
    query = _query.where(recording.c.state == "stored").order_by(recording.c.id).limit(limit)
    if after is not None:
        query = query.where(recording.c.id > after)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def next_plain(connection: AsyncConnection, after: UUID | None) -> RecordingRow | None:
    """The next stored recording that is not sealed, locked."""
    query = _query.where(recording.c.state == "stored", recording.c.sealed_to.is_(None))
    if after is not None:
        query = query.where(recording.c.id > after)
    query = query.order_by(recording.c.id).limit(1).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else RecordingRow(*row)


async def mark_sealed(
    connection: AsyncConnection, recording_id: UUID, name: str, sealed: SealedObjectFacts
) -> None:
    """Note that a stored recording lies in the store as this object."""
    values = {"store_name": name, "sealed_at": func.now(), **asdict(sealed)}
    await connection.execute(update(recording).where(recording.c.id == recording_id).values(values))


async def list_to_remove(connection: AsyncConnection, *, limit: int) -> list[RecordingRow]:
    """Erased recordings whose object was not removed yet."""
    query = _query.where(recording.c.state == "erased", recording.c.store_name.is_not(None))
    return [RecordingRow(*row) for row in await connection.execute(query.limit(limit))]


async def list_to_copy(
    connection: AsyncConnection, after: tuple[datetime, UUID] | None, *, limit: int
) -> list[RecordingRow]:
    """Stored recordings without a copy, in the order of their end, after that one."""
    query = _query.where(recording.c.state == "stored", recording.c.copied_at.is_(None))
    if after is not None:
        query = query.where(tuple_(recording.c.ended_at, recording.c.id) > tuple_(*after))
    query = query.order_by(recording.c.ended_at, recording.c.id).limit(limit)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def mark_copied(connection: AsyncConnection, recording_id: UUID, at: datetime) -> None:
    """Note that the object is in the second store as well."""
    await connection.execute(
        update(recording).where(recording.c.id == recording_id).values(copied_at=at)
    )


async def copied_ids(connection: AsyncConnection, recording_ids: Sequence[UUID]) -> set[UUID]:
    """The ids of these recordings that have a copy."""
    query = select(recording.c.id).where(
        recording.c.id.in_(recording_ids), recording.c.copied_at.is_not(None)
    )
    return set((await connection.execute(query)).scalars())


async def find_backlog(connection: AsyncConnection, *, copies: bool) -> SealingBacklog:
    """The oldest recordings that wait to be sealed and, with `copies`, to be copied."""
    ended = func.min(recording.c.ended_at)
    closed = select(ended).where(recording.c.state == literal_column("'closed'"))
    plain = select(ended).where(
        recording.c.state == literal_column("'stored'"), recording.c.copied_at.is_(None)
    )
    return SealingBacklog(
        (await connection.execute(closed)).scalar_one(),
        (await connection.execute(plain)).scalar_one() if copies else None,
    )


async def count_stored(connection: AsyncConnection) -> int:
    """The number of stored recordings."""
    query = select(func.count()).select_from(recording).where(recording.c.state == "stored")
    return int((await connection.execute(query)).scalar_one())


async def daily_growth(connection: AsyncConnection, now: datetime) -> float | None:
    """Bytes a day that recordings of the last week take in the store; None for none.

    A line that is younger than a week is measured since its first one, and for a day at least.
    """
    recent = recording.c.started_at > now - GROWTH_SPAN
    query = select(func.sum(recording.c.bytes), func.min(recording.c.started_at))
    total, since = (
        await connection.execute(query.where(recording.c.state == "stored", recent))
    ).one()
    return float(total) / max((now - since) / timedelta(days=1), 1.0) if total else None


async def find_hashes(connection: AsyncConnection, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those objects of these that are stored recordings, by their names."""
    query = select(recording.c.store_name, recording.c.sha256).where(
        recording.c.store_name == any_(bindparam("names", type_=ARRAY(Text))),
        recording.c.state == "stored",
    )
    rows = await connection.execute(query, {"names": names})
    return {row.store_name: row.sha256 for row in rows}


async def mark_removed(connection: AsyncConnection, recording_id: UUID) -> None:
    """Note that the object of an erased recording is gone."""
    await connection.execute(
        update(recording).where(recording.c.id == recording_id).values(store_name=None)
    )
    await connection.execute(
        update(recording_erasure)
        .where(
            recording_erasure.c.recording_id == recording_id,
            recording_erasure.c.state == "approved",
        )
        .values(state="done")
    )
