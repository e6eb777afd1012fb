"""Progress of a restore: a table in the database that it fills, there until all is done.

It is made before the backup is read, so whoever connects meanwhile is refused
(`refuse_unfinished_restore`), and the same command goes on where it was killed. What is restored is
filled in before anything of it is put back.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg.errors import LockNotAvailable
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.backup.manifest import Manifest
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import RESTORING, UNFINISHED_RESTORE
from callcenter.platform.storage.owner_connection import owner_connection

LOCK = 0x726573746F7265  #: advisory lock of whoever restores: "restore" in ASCII
#: For sessions of one who restores: its machine may be lost while it has the lock.
LIMITS = """
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2;
    SET idle_session_timeout = 0; SET lock_timeout = '5s'
"""
#: Sessions that the table below was made too late for. Roles of processes have no rights yet.
OTHERS = """
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
        AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> %s
"""
POLL_INTERVAL = 0.2  # seconds
OTHERS_LIMIT = 5.0  # seconds for those who are refused to go, and for a restore that was killed
NOT_EMPTY = f"""
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        AND pg_class.oid <> coalesce(to_regclass('{UNFINISHED_RESTORE}')::oid, 0)
"""  # noqa: S608 - a constant
UNPRIVILEGED = "the owner of the database may make no tables in it: nothing can be restored"


class RestoreProgress(BaseModel):
    """A restore that is not finished: what it restores, and how far it is."""

    model_config = ConfigDict(frozen=True)

    manifest: Manifest  #: with the moment that is reached
    moment: datetime | None  #: that was asked for
    signer: str  #: of the backup: SHA-256 of the key
    is_renumbered: bool = False  #: numbers go on after those given, and nobody is signed in


class DatabaseNotEmpty(InvalidRequest):
    """The database is not empty, and nothing is ever restored over another."""

    def __init__(self) -> None:
        super().__init__(
            "the database is not empty, and nothing is ever restored over another: name a new one "
            "in CALLCENTER_DATABASE_URL, or move var/postgres away"
        )


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Be the only one who restores into this database, for the block.

    Raises InvalidRequest while another does, and DependencyUnavailable.
    """
    with owner_connection(settings, unprivileged=UNPRIVILEGED, autocommit=True) as connection:
        connection.execute(LIMITS)
        connection.execute("SELECT set_config('application_name', %s, false)", (RESTORING,))
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        except LockNotAvailable as exc:
            raise InvalidRequest(
                "another restore is at work in this database: wait for its end"
            ) from exc
        yield


def begin(settings: Settings) -> None:
    """Note that a restore into this database has begun, perhaps anew. It blocks.

    Raises DatabaseNotEmpty, InvalidRequest when the owner may not, and DependencyUnavailable.
    """
    with owner_connection(settings, unprivileged=UNPRIVILEGED) as connection:
        _require_empty(connection)
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {UNFINISHED_RESTORE} (progress text NOT NULL)".encode()
        )


def require_alone(settings: Settings) -> None:
    """Require that the owner has no other session.

    One from before `begin` did not look for the table, and the dump of a restore that was killed
    may still be committed. Raises InvalidRequest when one stays, and DependencyUnavailable.
    """
    until = time.monotonic() + OTHERS_LIMIT
    with owner_connection(settings, unprivileged=UNPRIVILEGED, autocommit=True) as connection:
        while others := connection.execute(OTHERS, (RESTORING,)).fetchall():
            if time.monotonic() > until:
                names = ", ".join(sorted(name or "without a name" for (name,) in others))
                raise InvalidRequest(
                    f"the database is in use by its owner ({names}): end all processes that use "
                    "it, and run this again"
                )
            time.sleep(POLL_INTERVAL)


def fill_in(settings: Settings, progress: RestoreProgress) -> None:
    """Fill in what is restored, before anything of it is put back. Raises as `begin` does."""
    with owner_connection(settings, unprivileged=UNPRIVILEGED) as connection:
        _require_empty(connection)
        connection.execute(f"DELETE FROM {UNFINISHED_RESTORE}".encode())  # noqa: S608
        connection.execute(
            f"INSERT INTO {UNFINISHED_RESTORE} VALUES (%s)".encode(),  # noqa: S608 - a constant
            (progress.model_dump_json(),),
        )


def give_up(settings: Settings) -> None:
    """Note that nothing is restored after all, if that is so. Raises DependencyUnavailable."""
    with owner_connection(settings, unprivileged=UNPRIVILEGED) as connection:
        if _is_empty(connection):
            connection.execute(f"DROP TABLE {UNFINISHED_RESTORE}".encode())


def _require_empty(connection: psycopg.Connection) -> None:
    if not _is_empty(connection):
        raise DatabaseNotEmpty


def _is_empty(connection: psycopg.Connection) -> bool:
    return connection.execute(NOT_EMPTY.encode()).fetchone() == (0,)


async def has_tables(connection: AsyncConnection) -> bool:
    """Whether there is anything in this database."""
    return bool(await connection.scalar(text(NOT_EMPTY)))


async def find(connection: AsyncConnection) -> RestoreProgress | None:
    """The restore into this database that is not finished, if there is one and it got so far."""
    if await connection.scalar(text(f"SELECT to_regclass('{UNFINISHED_RESTORE}')")) is None:
        return None
    query = text(f"SELECT progress FROM {UNFINISHED_RESTORE}")  # noqa: S608 - a constant
    saved = (await connection.execute(query)).scalar_one_or_none()
    return None if saved is None else RestoreProgress.model_validate_json(saved)


async def save(connection: AsyncConnection, progress: RestoreProgress) -> None:
    """Save how far it is, within the transaction of what was done."""
    statement = text(f"UPDATE {UNFINISHED_RESTORE} SET progress = :progress")  # noqa: S608
    await connection.execute(statement, {"progress": progress.model_dump_json()})


async def end(connection: AsyncConnection) -> None:
    """Note that nothing is left to do: whoever connects is served. Repeatable."""
    await connection.execute(text(f"DROP TABLE IF EXISTS {UNFINISHED_RESTORE}"))
