"""Orphaned files: recordings in the spool without a row; they are bound to their call.

A controller registers a recording before it starts it. When it is killed before that is saved,
as during a failure of the database, the file is left: it may be the only trace of the conversation.
"""

import asyncio
import logging
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing import spool
from callcenter.recordings.sealing.audio import raw_length
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.reconciliation import store

log = logging.getLogger(__name__)

QUIET_AFTER = timedelta(minutes=5)  # since the last write: a late journal has been saved by then


@dataclass(frozen=True, slots=True)
class OrphanedFile:
    """A closed file of the spool, with the call and recording in its name, if any.

    `name` is printable: other bytes are escaped as Python does.
    """

    name: str
    call_id: str | None
    recording_id: UUID | None
    began_at: datetime
    ended_at: datetime


async def find(connection: AsyncConnection, folder: Path, now: datetime) -> list[OrphanedFile]:
    """Closed files without a row, of calls that are accounted for. Raises OSError.

    That excludes files that are written to, or were a moment ago, and those of calls in progress
    or not accounted for yet. Any other file there is one too.
    """
    names = await asyncio.to_thread(spool.file_names, folder)
    # Names given to Asterisk are ASCII; others cannot be a row, nor a query's parameter.
    registered = await recordings.registered_files(
        connection, [name for name in names if name.isascii()]
    )
    unregistered = [name for name in names if name not in registered]
    found = await asyncio.to_thread(_list_quiet, folder, unregistered, now)
    calls = [each.call_id for each in found if each.call_id is not None]
    pending = await store.filter_pending(connection, calls)
    return [each for each in found if each.call_id not in pending]


async def bind(connection: AsyncConnection, orphan: OrphanedFile) -> bool:
    """Bind a file to the appeal of the call in its name, as a recording to seal.

    False when that cannot be proved: the name has no call, the call is not in the register, or
    the register has the recording with another file.
    """
    if orphan.call_id is None or orphan.recording_id is None:
        return False
    ended = await store.find_ended(connection, orphan.call_id)
    if ended is None or await recordings.find(connection, orphan.recording_id) is not None:
        return False
    appeal_id, consultant_id = ended
    await recordings.begin(
        connection,
        recording_id=orphan.recording_id,
        appeal_id=appeal_id,
        consultant_id=consultant_id,
        spool_name=orphan.name,
        started_at=orphan.began_at,
    )
    await recordings.close(connection, recording_id=orphan.recording_id, ended_at=orphan.ended_at)
    await add_recording_events(
        connection, appeal_id, orphan.recording_id, orphan.began_at, orphan.ended_at
    )
    log.warning("orphaned file bound to its call, recording %s", orphan.recording_id)
    return True


async def add_recording_events(
    connection: AsyncConnection,
    appeal_id: UUID,
    recording_id: UUID,
    began_at: datetime,
    ended_at: datetime,
) -> None:
    """Add start and stop of a recovered recording to its appeal, unless it has them."""
    present = {
        event.kind
        for event in await appeals.events(connection, appeal_id)
        if event.detail.get("recording") == str(recording_id)
    }
    detail = {"recording": str(recording_id), "how": "recovered"}
    for at, kind in (
        (began_at, CallEvent.RECORDING_STARTED),
        (ended_at, CallEvent.RECORDING_STOPPED),
    ):
        if kind not in present:
            await appeals.append_event(
                connection, appeal_id=appeal_id, at=at, kind=kind, detail=detail
            )


def _list_quiet(folder: Path, names: Sequence[str], now: datetime) -> list[OrphanedFile]:
    found = []
    for name in names:
        try:
            about = (folder / name).lstat()
            ended_at = datetime.fromtimestamp(about.st_mtime, UTC)
            # A time in the future is from before the clock was put back.
            if now - QUIET_AFTER < ended_at <= now or _is_written(folder / name, about.st_mode):
                continue
        except FileNotFoundError:
            continue
        shown, began_at = repr(name)[1:-1], ended_at - raw_length(about.st_size)
        found.append(OrphanedFile(shown, *spool.read_name(name), began_at, ended_at))
    return found


def _is_written(file: Path, mode: int) -> bool:
    """True if Asterisk may write to it: never to a folder, or to another user's file."""
    if not stat.S_ISREG(mode):
        return False  # opening it could wait for ever
    try:
        return not spool.is_closed(file)
    except PermissionError:
        return False
