"""Recordings in PostgreSQL: from the first moment of a file to its place in the store."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Interval,
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
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.recordings.formats import Format, Sealed, format_of
from callcenter.recordings.tables import recording, recording_erasure
from callcenter.storage.engine import Transaction, as_json, within


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording. `state` is recording, closed, stored, failed or erased.

    Once stored: `store_name` is the object of the sealed store, `sha256` (hexadecimal) and `bytes`
    are of that object, `audio_sha256`, `audio_bytes` and `duration_ms` of the audio in it, and
    `sealed_to` is the public key of the center's that it was sealed to, at `sealed_at` (empty for
    those of before that was noted). Once failed: `fault`. Once erased all but `store_name` stay.
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
        """Of the audio that is stored."""
        return format_of(self.store_name)


class Waiting(NamedTuple):
    """When what waits longest ended; None when nothing waits."""

    sealing: datetime | None
    copying: datetime | None


class Lengths(NamedTuple):
    """Of conversations: `least` and more, `below` and not so much."""

    least: timedelta
    below: timedelta


class Beginning(NamedTuple):
    """The switch is told to record to `spool_name`, a file name in Settings.spool."""

    id: UUID
    appeal_id: UUID
    consultant_id: UUID | None
    spool_name: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a closed recording; the other fields are those of RecordingRow."""

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
    UPDATE recording SET state = 'closed', ended_at = new.ended_at
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new (id uuid, ended_at timestamptz)
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
_STORED_FROM = _query.where(recording.c.state == "stored", _from_files)
_OF_OWN_TEAM = text(
    """
    SELECT recording.id
    FROM recording JOIN consultant AS heard ON heard.id = recording.consultant_id,
        web_user JOIN consultant AS listener ON listener.id = web_user.consultant_id
    WHERE recording.id = ANY(:recordings) AND web_user.id = :user
        AND listener.team IS NOT DISTINCT FROM heard.team
    """
)
_OF_ONESELF = text(
    """
    SELECT recording.id
    FROM recording JOIN web_user USING (consultant_id)
    WHERE recording.id = ANY(:recordings) AND web_user.id = :user
    """
)
_KNOWN_FILES = select(recording.c.spool_name).where(_from_files)
# One statement with one parameter, whatever the number of rows.
_given = (
    func.jsonb_to_recordset(bindparam("settled", type_=JSONB))
    .table_valued(*(column(name, recording.c[name].type) for name in Settled.__slots__))
    .render_derived("given", with_types=True)
)
_SETTLE = (
    update(recording)
    .where(recording.c.id == _given.c.id, recording.c.state == "closed")
    .values(
        {name: _given.c[name] for name in Settled.__slots__ if name != "id"}
        | {"sealed_at": case((_given.c.state == "stored", func.now()))}
    )
    .returning(*_columns)
)


async def begin_all(transaction: Transaction, beginnings: Sequence[Beginning]) -> None:
    """Note that the switch records to files of these names in Settings.spool. Repeatable.

    Raises AskedWrongly when one is not a plain name.
    """
    for each in beginnings:
        if Path(each.spool_name).name != each.spool_name:
            raise AskedWrongly(f"{each.spool_name!r} is not a plain file name in the spool")
    if beginnings:
        await transaction.run(_BEGIN, rows=as_json([each._asdict() for each in beginnings]))


async def close_all(transaction: Transaction, ended: Mapping[UUID, datetime]) -> None:
    """Note that nothing more is recorded; a worker keeps it within seconds. Repeatable."""
    if ended:
        rows = [{"id": identity, "ended_at": at} for identity, at in ended.items()]
        await transaction.run(_CLOSE, rows=as_json(rows))


async def begin(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    appeal_id: UUID,
    consultant_id: UUID | None,
    spool_name: str,
    started_at: datetime,
) -> None:
    """As `begin_all`, of one."""
    beginning = Beginning(recording_id, appeal_id, consultant_id, spool_name, started_at)
    await begin_all(within(connection), [beginning])


async def close(connection: AsyncConnection, *, recording_id: UUID, ended_at: datetime) -> None:
    """As `close_all`, of one."""
    await close_all(within(connection), {recording_id: ended_at})


async def closed(
    connection: AsyncConnection, *, besides: Collection[UUID], lengths: Lengths, limit: int
) -> list[RecordingRow]:
    """Recordings that are neither stored nor failed, those that were closed first, first."""
    values = {"besides": list(besides), **lengths._asdict(), "limit": limit}
    rows = await connection.execute(_CLOSED, values)
    return [RecordingRow(*row) for row in rows]


async def settle(connection: AsyncConnection, settled: Sequence[Settled]) -> list[RecordingRow]:
    """Note what became of closed recordings, for ever; returns those that are stored now."""
    if not settled:
        return []
    rows = [asdict(each) | {"id": str(each.id)} for each in settled]
    found = [RecordingRow(*row) for row in await connection.execute(_SETTLE, {"settled": rows})]
    return [row for row in found if row.state == "stored"]


async def stored_from(
    connection: AsyncConnection, spool_names: Sequence[str]
) -> list[RecordingRow]:
    """Recordings that are stored, of those that the switch wrote to these files."""
    rows = await connection.execute(_STORED_FROM, {"names": list(spool_names)})
    return [RecordingRow(*row) for row in rows]


async def known_files(connection: AsyncConnection, spool_names: Sequence[str]) -> set[str]:
    """Those of these files of the spool that belong to a recording of the register."""
    rows = await connection.execute(_KNOWN_FILES, {"names": list(spool_names)})
    return set(rows.scalars())


async def of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[RecordingRow]:
    """Recordings of an appeal, in the order of their start."""
    query = _query.where(recording.c.appeal_id == appeal_id).order_by(recording.c.started_at)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def of_own_team(
    connection: AsyncConnection, *, recording_ids: Sequence[UUID], user_id: UUID
) -> frozenset[UUID]:
    """Those in which the consultant heard has the team of the consultant that this person is.

    Consultants without a team are one. None when either is no consultant, as in a message.
    """
    values = {"recordings": list(recording_ids), "user": user_id}
    return frozenset((await connection.execute(_OF_OWN_TEAM, values)).scalars())


async def of_oneself(
    connection: AsyncConnection, *, recording_ids: Sequence[UUID], user_id: UUID
) -> frozenset[UUID]:
    """Those in which the consultant heard is this person."""
    values = {"recordings": list(recording_ids), "user": user_id}
    return frozenset((await connection.execute(_OF_ONESELF, values)).scalars())


async def find(connection: AsyncConnection, recording_id: UUID) -> RecordingRow | None:
    """The recording with this id."""
    row = (await connection.execute(_query.where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else RecordingRow(*row)


async def stored_after(
    connection: AsyncConnection, after: UUID | None, *, limit: int
) -> list[RecordingRow]:
    """Stored recordings in the order of their ids, from behind that one on."""
    query = _query.where(recording.c.state == "stored").order_by(recording.c.id).limit(limit)
    if after is not None:
        query = query.where(recording.c.id > after)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def next_plain(connection: AsyncConnection, after: UUID | None) -> RecordingRow | None:
    """The next stored recording that is not sealed; nobody else changes it meanwhile."""
    query = _query.where(recording.c.state == "stored", recording.c.sealed_to.is_(None))
    if after is not None:
        query = query.where(recording.c.id > after)
    query = query.order_by(recording.c.id).limit(1).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else RecordingRow(*row)


async def sealed_now(
    connection: AsyncConnection, recording_id: UUID, name: str, sealed: Sealed
) -> None:
    """Note that a stored recording lies in the store as this object."""
    values = {"store_name": name, "sealed_at": func.now(), **asdict(sealed)}
    await connection.execute(update(recording).where(recording.c.id == recording_id).values(values))


async def to_remove(connection: AsyncConnection, *, limit: int) -> list[RecordingRow]:
    """Erased recordings whose object was not removed yet."""
    query = _query.where(recording.c.state == "erased", recording.c.store_name.is_not(None))
    return [RecordingRow(*row) for row in await connection.execute(query.limit(limit))]


async def to_copy(
    connection: AsyncConnection, after: tuple[datetime, UUID] | None, *, limit: int
) -> list[RecordingRow]:
    """Stored recordings that have no copy yet, those that ended first, first, from behind on."""
    query = _query.where(recording.c.state == "stored", recording.c.copied_at.is_(None))
    if after is not None:
        query = query.where(tuple_(recording.c.ended_at, recording.c.id) > tuple_(*after))
    query = query.order_by(recording.c.ended_at, recording.c.id).limit(limit)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def copied(connection: AsyncConnection, recording_id: UUID, at: datetime) -> None:
    """Note that the object is in the second store as well."""
    await connection.execute(
        update(recording).where(recording.c.id == recording_id).values(copied_at=at)
    )


async def copied_of(connection: AsyncConnection, recording_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these recordings that have a copy."""
    query = select(recording.c.id).where(
        recording.c.id.in_(recording_ids), recording.c.copied_at.is_not(None)
    )
    return set((await connection.execute(query)).scalars())


async def waits_since(connection: AsyncConnection, *, copies: bool) -> Waiting:
    """Since when recordings wait to be sealed and, if there are `copies`, to be copied."""
    ended = func.min(recording.c.ended_at)
    closed = select(ended).where(recording.c.state == literal_column("'closed'"))
    plain = select(ended).where(
        recording.c.state == literal_column("'stored'"), recording.c.copied_at.is_(None)
    )
    return Waiting(
        (await connection.execute(closed)).scalar_one(),
        (await connection.execute(plain)).scalar_one() if copies else None,
    )


async def count_stored(connection: AsyncConnection) -> int:
    """How many recordings are stored."""
    query = select(func.count()).select_from(recording).where(recording.c.state == "stored")
    return int((await connection.execute(query)).scalar_one())


async def removed(connection: AsyncConnection, recording_id: UUID) -> None:
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
