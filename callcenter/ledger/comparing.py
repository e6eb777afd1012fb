"""What is compared, read anew: the switch's own files, the register, and the recorded files.

Of what our code made of the ledger nothing is used, only the parser of its lines. A call that was
never written down, and one whose line was passed over, are found all the same.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import soundfile
from sqlalchemy import Row, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.asterisk.ledger import parse
from callcenter.ledger.differences import Recorded, Registered, Told
from callcenter.ledger.heard import Reading, SwitchCall
from callcenter.ledger.whole import NEAR, raw_lines
from callcenter.recordings.age import Altered
from callcenter.recordings.formats import Format
from callcenter.recordings.vault import Vault, name_for
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.objects import ObjectMissing

BYTES_A_SECOND = 8000 * 2 * 2  # of what the switch records: 8000 Hz, two channels of 16 bits

_ids = bindparam("ids", type_=ARRAY(Text))
_REGISTER = text(
    """
    SELECT id, 0, call_id, received_at, ended_at, outcome FROM appeal
    WHERE channel = 'call' AND call_id IS NOT NULL
        AND (received_at BETWEEN :since AND :until OR call_id = ANY(:ids))
    UNION ALL
    SELECT appeal_id, ordinal, call_id, began_at, ended_at, outcome FROM outgoing_call
    WHERE began_at BETWEEN :since AND :until OR call_id = ANY(:ids)
    """
).bindparams(_ids)
_CONNECTED = text(
    """
    SELECT appeal_id, at FROM appeal_event
    WHERE appeal_id::text = ANY(:ids) AND kind = 'connected' ORDER BY at
    """
).bindparams(_ids)
_RECORDINGS = text(
    """
    SELECT id, appeal_id, state, started_at, ended_at, spool_name, store_name FROM recording
    WHERE started_at BETWEEN :since AND :until OR appeal_id::text = ANY(:ids)
    """
).bindparams(_ids)
_KNOWN_FILES = text("SELECT spool_name FROM recording WHERE spool_name = ANY(:ids)").bindparams(
    _ids
)
_KNOWN_RECORDINGS = text("SELECT id::text FROM recording WHERE id::text = ANY(:ids)").bindparams(
    _ids
)


async def tell(
    settings: Settings,
    engine: AsyncEngine,
    ledger: Path,
    *,
    since: datetime,
    until: datetime,
    live: Collection[str] | None,
) -> Told:
    """All that is to be compared of calls that began from `since` to `until`.

    `live` are the switch's channels now, None when it cannot be asked. Raises NotReady when the
    database is away, WeFailed when a file of the ledger cannot be read, OSError for the others.
    """
    calls, unreadable = await asyncio.to_thread(_read_ledger, ledger, since)
    near = {"since": since - NEAR, "until": until + NEAR}
    legs = [leg for call in calls if call.last_at >= near["since"] for leg in call.legs]
    connected: dict[UUID, list[datetime]] = {}
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(_REGISTER, near | {"ids": legs})
        register = [Registered(*row) for row in rows]
        appeals = sorted({str(row.appeal_id) for row in register})
        for appeal_id, at in await connection.execute(_CONNECTED, {"ids": appeals}):
            connected.setdefault(appeal_id, []).append(at)
        found = list(await connection.execute(_RECORDINGS, near | {"ids": appeals}))
    recordings = await asyncio.to_thread(
        lambda: [
            Recorded(
                row.id,
                row.appeal_id,
                row.state,
                row.started_at,
                row.ended_at,
                _length(settings, row),
            )
            for row in found
        ]
    )
    told = Told(since, until, calls, live, register, connected, recordings, unreadable=unreadable)
    raw, stored = await asyncio.to_thread(_files, settings, told)
    async with unit_of_work(engine) as connection:
        loose = await _loose(connection, told, raw, stored)
    return replace(told, loose=loose)


# The switch's files


def _read_ledger(ledger: Path, since: datetime) -> tuple[list[SwitchCall], int]:
    """The calls of all files that were written to since, and how many lines cannot be read."""
    reading, unreadable = Reading(), 0
    for raw in raw_lines(ledger, since - NEAR):
        line = parse(raw)
        if line is None:
            unreadable += 1
        else:
            reading.take(line)
    return list(reading.calls()), unreadable


# The recorded files


def _length(settings: Settings, row: Row[Any]) -> timedelta | None:
    """How long what is kept lasts; None when nothing is there that can be heard."""
    name = row.store_name or name_for(row.id, row.started_at, Format(settings.recordings_format))
    try:
        if row.store_name is None:
            size = (settings.spool / row.spool_name).stat().st_size
            return timedelta(seconds=size / BYTES_A_SECOND)
    except FileNotFoundError:
        pass  # or it was stored this very moment
    try:
        with Vault(settings).open(name) as audio:
            about = soundfile.info(audio)
    except (ObjectMissing, Altered, soundfile.LibsndfileError):
        return None
    return timedelta(seconds=about.frames / about.samplerate)


async def _loose(
    connection: AsyncConnection, told: Told, raw: Sequence[str], stored: Sequence[str]
) -> list[str]:
    """Those of these files that no recording knows, and that belong to no call that goes on."""
    rows = await connection.execute(_KNOWN_FILES, {"ids": raw})
    known = set(rows.scalars())
    going_on = tuple(
        f"{call.call_id}{end}"
        for call in told.switch
        if told.goes_on(call)
        for end in ("-", ".raw")
    )
    loose = [
        name
        for name in raw
        if name not in known and not name.removeprefix("fallback-").startswith(going_on)
    ]
    ids = {name: Path(name).name.partition(".")[0] for name in stored}
    rows = await connection.execute(_KNOWN_RECORDINGS, {"ids": list(ids.values())})
    known = set(rows.scalars())
    return sorted(loose) + sorted(name for name in stored if ids[name] not in known)


def _files(settings: Settings, told: Told) -> tuple[list[str], list[str]]:
    """Files of the spool, and of the store, that were last written to within the time."""
    raw = [file.name for file in settings.spool.glob("*.raw") if _is_due(file, told)]
    days = (told.until - told.since).days + 2
    first = told.since.astimezone(UTC).date() - timedelta(days=1)
    vault = Vault(settings)
    stored = [
        each.name
        for day in range(days + 1)
        for each in vault.listed(first + timedelta(days=day))
        if told.is_due(each.at)
    ]
    return raw, stored


def _is_due(file: Path, told: Told) -> bool:
    try:
        return told.is_due(datetime.fromtimestamp(file.stat().st_mtime, UTC))
    except FileNotFoundError:  # kept or removed meanwhile
        return False
