"""What lies in the spool and no row of the register knows: found, and given to its call.

A controller registers a recording before it starts it. When it is killed before that is written,
as while the database is away, the file is left: it may be the only trace of what was said.
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

from callcenter.appeals import store as appeals
from callcenter.ledger import store
from callcenter.line.outcomes import Moment
from callcenter.recordings import spool
from callcenter.recordings import store as recordings
from callcenter.recordings.audio import FRAME_BYTES, RATE

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=5)  # since the last sound: whoever was to write it down has had time to


@dataclass(frozen=True, slots=True)
class Orphan:
    """A closed file of the spool, and what it says of itself: its call and recording, if at all.

    `name` is as it may be shown: what is no text in it is written as Python does.
    """

    name: str
    call_id: str | None
    recording_id: UUID | None
    began_at: datetime
    ended_at: datetime


async def find(connection: AsyncConnection, folder: Path, now: datetime) -> list[Orphan]:
    """Files that nobody knows and, as far as can be told, nobody will. Raises OSError.

    That excludes those that are written to, or were a moment ago, and those of calls that go on
    or that the ledger has not accounted for. Whatever else lies there is one too.
    """
    names = await asyncio.to_thread(spool.names, folder)
    # As all are that the switch was told; what is no text could not be asked for.
    known = await recordings.known_files(connection, [name for name in names if name.isascii()])
    unknown = [name for name in names if name not in known]
    found = await asyncio.to_thread(_quiet, folder, unknown, now)
    calls = [each.call_id for each in found if each.call_id is not None]
    pending = await store.pending(connection, calls)
    return [each for each in found if each.call_id not in pending]


async def bind(connection: AsyncConnection, orphan: Orphan) -> bool:
    """Give a file to the appeal of the call that it is named after, and have it kept.

    False when that cannot be proved: the name says no call, the call is not in the register, or
    the register has the recording with another file.
    """
    if orphan.call_id is None or orphan.recording_id is None:
        return False
    ended = await store.ended(connection, orphan.call_id)
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
    detail = {"recording": str(orphan.recording_id), "how": "recovered"}
    for at, moment in (
        (orphan.began_at, Moment.RECORDING_STARTED),
        (orphan.ended_at, Moment.RECORDING_STOPPED),
    ):
        await appeals.append_event(
            connection, appeal_id=appeal_id, at=at, kind=moment, detail=detail
        )
    log.warning("recording %s was not in the register; its call has it now", orphan.recording_id)
    return True


def _quiet(folder: Path, names: Sequence[str], now: datetime) -> list[Orphan]:
    found = []
    for name in names:
        try:
            about = (folder / name).lstat()
            ended_at = datetime.fromtimestamp(about.st_mtime, UTC)
            # In the future is before the clock was put back.
            if now - QUIET < ended_at <= now or _is_written(folder / name, about.st_mode):
                continue
        except FileNotFoundError:
            continue
        length = timedelta(seconds=about.st_size / FRAME_BYTES / RATE)
        shown = repr(name)[1:-1]
        found.append(Orphan(shown, *spool.read_name(name), ended_at - length, ended_at))
    return found


def _is_written(file: Path, mode: int) -> bool:
    """Whether the switch may write to it: never to a folder, or to what is another user's."""
    if not stat.S_ISREG(mode):
        return False  # opening it could wait for ever
    try:
        return not spool.is_closed(file)
    except PermissionError:
        return False
