"""Loads both sides of reconciliation: CEL, the register, and the recorded files.

Nothing that our code derived from CEL is used, only the parser of its lines. So a call that was
never saved, and one whose line was skipped, are found all the same.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import soundfile
from sqlalchemy import (
    Row,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.tables import appeal, appeal_event, outgoing_call
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.objects import ObjectMissing
from callcenter.recordings import store as recordings
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing.age import Altered
from callcenter.recordings.sealing.audio import raw_length
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from callcenter.recordings.tables import recording
from callcenter.telephony.reconciliation.cel import parse
from callcenter.telephony.reconciliation.cel_archive import MARGIN, raw_lines
from callcenter.telephony.reconciliation.cel_calls import CelCall, CelCallBuilder
from callcenter.telephony.reconciliation.orphaned_objects import filter_orphaned
from callcenter.telephony.reconciliation.rules import (
    ReconciliationSnapshot,
    RegisteredCall,
    RegisteredRecording,
)

_register = union_all(
    select(
        appeal.c.id.label("appeal_id"),
        literal_column("0").label("ordinal"),
        appeal.c.call_id,
        appeal.c.received_at,
        appeal.c.ended_at,
        appeal.c.outcome,
        cast(null(), Uuid).label("outgoing_id"),
    ).where(
        appeal.c.channel == "call",
        appeal.c.call_id.is_not(None),
        or_(
            appeal.c.received_at.between(bindparam("since"), bindparam("until")),
            appeal.c.call_id == any_(bindparam("legs", type_=ARRAY(Text))),
        ),
    ),
    select(
        outgoing_call.c.appeal_id,
        outgoing_call.c.ordinal,
        outgoing_call.c.call_id,
        outgoing_call.c.began_at,
        outgoing_call.c.ended_at,
        outgoing_call.c.outcome,
        outgoing_call.c.id,
    ).where(
        or_(
            outgoing_call.c.began_at.between(bindparam("since"), bindparam("until")),
            outgoing_call.c.call_id == any_(bindparam("legs", type_=ARRAY(Text))),
        )
    ),
)
_of_appeals = any_(bindparam("appeals", type_=ARRAY(Uuid)))
_connected = (
    select(appeal_event.c.appeal_id, appeal_event.c.at)
    .where(appeal_event.c.appeal_id == _of_appeals, appeal_event.c.kind == "connected")
    .order_by(appeal_event.c.at)
)
_recordings = select(
    *(
        recording.c[name]
        for name in (
            "id",
            "appeal_id",
            "state",
            "started_at",
            "ended_at",
            "spool_name",
            "store_name",
        )
    )
).where(
    or_(
        recording.c.started_at.between(bindparam("since"), bindparam("until")),
        recording.c.appeal_id == _of_appeals,
    )
)


async def load_snapshot(
    settings: Settings,
    engine: AsyncEngine,
    cel_file: Path,
    *,
    since: datetime,
    until: datetime,
    live_channels: Collection[str] | None,
) -> ReconciliationSnapshot:
    """Both sides of reconciliation, of calls that began from `since` to `until`.

    `live_channels` are Asterisk's channels now, None when it cannot be asked. Raises
    DependencyUnavailable without a database, OperationFailed for an unreadable CEL file, and
    OSError for the others."""
    calls, unreadable_lines = await asyncio.to_thread(_read_calls, cel_file, since)
    window = {"since": since - MARGIN, "until": until + MARGIN}
    legs = [leg for call in calls if call.last_at >= window["since"] for leg in call.legs]
    async with unit_of_work(engine) as connection:
        register, connected, found = await _read_register(connection, window, legs)
    snapshot = ReconciliationSnapshot(
        since,
        until,
        calls,
        live_channels,
        register,
        connected,
        await asyncio.to_thread(_measure, settings, found),
        unreadable_lines=unreadable_lines,
    )
    raw, stored = await asyncio.to_thread(_list_files, settings, snapshot)
    async with unit_of_work(engine) as connection:
        unregistered_files = await _find_unregistered(connection, snapshot, raw, stored)
    return replace(snapshot, unregistered_files=unregistered_files)


async def _read_register(
    connection: AsyncConnection, window: Mapping[str, datetime], legs: Sequence[str]
) -> tuple[list[RegisteredCall], dict[UUID, list[datetime]], list[Row[Any]]]:
    """The calls of the window, when each was connected, by its appeal, and their recordings."""
    rows = await connection.execute(_register, {**window, "legs": legs})
    register = [RegisteredCall(*row) for row in rows]
    appeals = sorted({row.appeal_id for row in register})
    connected: dict[UUID, list[datetime]] = {}
    for appeal_id, at in await connection.execute(_connected, {"appeals": appeals}):
        connected.setdefault(appeal_id, []).append(at)
    found = await connection.execute(_recordings, {**window, "appeals": appeals})
    return register, connected, list(found)


# CEL files


def _read_calls(cel_file: Path, since: datetime) -> tuple[list[CelCall], int]:
    """The calls of all files modified since, and the number of unreadable lines."""
    builder, unreadable_lines = CelCallBuilder(), 0
    for raw in raw_lines(cel_file, since - MARGIN):
        line = parse(raw)
        if line is None:
            unreadable_lines += 1
        else:
            builder.take(line)
    return list(builder.calls()), unreadable_lines


# The recorded files


def _measure(settings: Settings, rows: Sequence[Row[Any]]) -> list[RegisteredRecording]:
    """The recordings with the lengths of their files."""
    return [
        RegisteredRecording(
            row.id,
            row.appeal_id,
            row.state,
            row.started_at,
            row.ended_at,
            _measure_length(settings, row),
        )
        for row in rows
    ]


def _measure_length(settings: Settings, row: Row[Any]) -> timedelta | None:
    """The length of a recording's file; None when there is none that can be played."""
    name = row.store_name or name_for(row.id, row.started_at, Format(settings.recordings_format))
    try:
        if row.store_name is None:
            return raw_length((settings.spool / row.spool_name).stat().st_size)
    except FileNotFoundError:
        pass  # or it was stored at this moment
    try:
        with SealedStore(settings).open(name) as audio:
            about = soundfile.info(audio)
    except (ObjectMissing, Altered, soundfile.LibsndfileError):
        return None
    return timedelta(seconds=about.frames / about.samplerate)


async def _find_unregistered(
    connection: AsyncConnection,
    snapshot: ReconciliationSnapshot,
    raw: Sequence[str],
    stored: Sequence[str],
) -> list[str]:
    """Select the files that have no recording row, and belong to no call in progress."""
    file_names = await recordings.registered_files(connection, raw)
    in_progress = tuple(
        f"{call.call_id}{end}"
        for call in snapshot.switch
        if snapshot.is_in_progress(call)
        for end in ("-", ".raw")
    )
    unregistered = [
        name
        for name in raw
        if name not in file_names and not name.removeprefix("fallback-").startswith(in_progress)
    ]
    return sorted(unregistered) + sorted(await filter_orphaned(connection, stored))


def _list_files(
    settings: Settings, snapshot: ReconciliationSnapshot
) -> tuple[list[str], list[str]]:
    """Files of the spool, and of the store, that were modified within the time."""
    raw = [file.name for file in settings.spool.glob("*.raw") if _is_due(file, snapshot)]
    days = (snapshot.until - snapshot.since).days + 2
    first = snapshot.since.astimezone(UTC).date() - timedelta(days=1)
    sealed_store = SealedStore(settings)
    stored = [
        each.name
        for day in range(days + 1)
        for each in sealed_store.list_day(first + timedelta(days=day))
        if snapshot.is_due(each.at)
    ]
    return raw, stored


def _is_due(file: Path, snapshot: ReconciliationSnapshot) -> bool:
    try:
        return snapshot.is_due(datetime.fromtimestamp(file.stat().st_mtime, UTC))
    except FileNotFoundError:  # sealed or removed meanwhile
        return False
