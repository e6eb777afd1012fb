"""Archive of the database's log (WAL) beside the backups, for a restore to any moment.

`wal/DAY/SYSTEM/SEGMENT.gz.tar.age` has a segment as `pg_receivewal` packs it, in an archive as that
of a backup; DAY (UTC) is that of its archiving. A replication slot has the server hold back what is
not there yet. The server is one site's alone. These functions block.
"""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.errors import DuplicateObject, ObjectInUse

from callcenter.backup.archive import Member
from callcenter.backup.archive_writer import write_archive
from callcenter.backup.postgres_programs import receive_log
from callcenter.launcher.postgres import MAJOR
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.objects import Objects
from callcenter.platform.storage.owner_connection import owner_connection

log = logging.getLogger(__name__)

Say = Callable[[str], None]

SLOT = "callcenter"
OLDEST = 17  #: major version of a server
PREFIX = "wal"
DAY = timedelta(days=1)
#: A file of the log: a segment, by timeline and place, or the history of a timeline.
FILE = re.compile(r"(?P<timeline>[0-9A-F]{8})((?P<place>[0-9A-F]{16})\.gz|\.history)")
UNPRIVILEGED = (
    "the owner of the database may not replicate it: let a superuser run what "
    'docs/operations/backup-reference.md, "To any moment", says'
)
RELEASE_LIMIT = 10.0  # seconds until the server has seen that a receiver is gone


def prepare(settings: Settings) -> None:
    """Have the server hold back its log from now on, until it is archived.

    Raises InvalidRequest when the owner may not replicate, DependencyUnavailable.
    """
    with owner_connection(settings, unprivileged=UNPRIVILEGED, autocommit=True) as connection:
        _make_slot(connection)


def end(settings: Settings) -> None:
    """Have the server hold nothing back any more. Raises DependencyUnavailable."""
    with owner_connection(settings, unprivileged=UNPRIVILEGED, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s AND NOT active",
            (SLOT,),
        )


def archive_log(settings: Settings, place: Objects) -> int:
    """Archive all that the log has; returns how many files, of an idle server one.

    Repeatable, safe to kill. Raises InvalidRequest when the owner may not replicate,
    DependencyUnavailable, OperationFailed, DamagedBackup when one is not there as it was written,
    and OSError.
    """
    with owner_connection(settings, unprivileged=UNPRIVILEGED, autocommit=True) as connection:
        _make_slot(connection)
        [system] = _row(connection, "SELECT system_identifier::text FROM pg_control_system()")
        folder = settings.packing / PREFIX / system
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in folder.glob("*.partial"):
            unfinished.unlink()
        count = _store_all(settings, place, folder)  # what one that was killed has left
        until = _switch(connection)
        receive_log(settings, SLOT, folder, until - 1)
        count += _store_all(settings, place, folder)
        _release(connection, until)
    return count


def list_archived(place: Objects, system: str, since: date, until: date) -> dict[str, str]:
    """Objects of that server's log, archived on these days, by the names of their files.

    Raises ObjectStoreUnavailable.
    """
    found: dict[str, str] = {}
    for number in range((until - since).days + 1):
        for each in place.list_objects(f"{PREFIX}/{since + DAY * number:%Y-%m-%d}/{system}"):
            file = each.name.rpartition("/")[2].removesuffix(".tar.age")
            if FILE.fullmatch(file):
                found[file] = each.name
    return found


def newest(place: Objects, now: datetime) -> datetime | None:
    """Time of the last archiving, today or yesterday. Raises ObjectStoreUnavailable."""
    days = (now.date(), now.date() - DAY)
    times = (each.at for day in days for each in place.list_objects(f"{PREFIX}/{day:%Y-%m-%d}"))
    return max(times, default=None)


def _make_slot(connection: psycopg.Connection) -> None:
    major = connection.info.server_version // 10000
    if not OLDEST <= major <= MAJOR:
        raise InvalidRequest(
            f"the server is PostgreSQL {major}, and only {OLDEST} to {MAJOR} are brought back to "
            "any moment: CALLCENTER_BACKUP_METHOD=dump, and tools of your own beside it"
        )
    found = connection.execute(
        "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)
    ).fetchone()
    if found == ("lost",):
        log.error("log archive has a gap: more was held back than the server may; make a backup")
        connection.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
    if found in (None, ("lost",)):
        with suppress(DuplicateObject):  # made at this moment, by a backup or the archiver
            connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (SLOT,))


def _switch(connection: psycopg.Connection) -> int:
    """End the segment that is written to; returns the byte at which the next one begins.

    The server writes the rest of that one when something of the next is flushed: else it could be a
    minute until it does, and nobody receives it before.
    """
    [written, segment] = _row(
        connection,
        "SELECT pg_switch_wal() - '0/0'::pg_lsn, setting::int FROM pg_settings"
        " WHERE name = 'wal_segment_size'",
    )
    connection.execute("SELECT pg_logical_emit_message(false, 'callcenter', '', true)")
    return -(-int(written) // int(segment)) * int(segment)


def _store_all(settings: Settings, place: Objects, folder: Path) -> int:
    count = 0
    for path in sorted(folder.iterdir()):
        if FILE.fullmatch(path.name):
            day = datetime.now(UTC).date()
            name = f"{PREFIX}/{day:%Y-%m-%d}/{folder.name}/{path.name}.tar.age"
            with path.open("rb") as file:
                state = path.stat()
                member = Member.of_file(path.name, file, state.st_size, state.st_mtime)
                write_archive(settings, place, name, [member], log.debug)
            path.unlink()
            count += 1
    return count


def _release(connection: psycopg.Connection, until: int) -> None:
    """Have the server hold back only what comes after."""
    deadline = time.monotonic() + RELEASE_LIMIT
    while True:
        try:
            connection.execute(
                "SELECT pg_replication_slot_advance(%s, '0/0'::pg_lsn + %s)", (SLOT, until)
            )
        except ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _row(connection: psycopg.Connection, query: str, *values: object) -> tuple[Any, ...]:
    found = connection.execute(query.encode(), values).fetchone()
    assert found is not None  # noqa: S101 - these queries have a row
    return found
