"""Progress of a restore, in the database that it fills: a table that is there until all is done.

It is made before anything of the backup is put back, so whoever connects meanwhile is refused
(`refuse_unfinished_restore`), and the same command goes on where it was killed.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.backup.manifest import Manifest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import UNFINISHED_RESTORE
from callcenter.platform.storage.owner_connection import owner_connection

UNPRIVILEGED = "the owner of the database may make no tables in it: nothing can be restored"


class RestoreProgress(BaseModel):
    """A restore that is not finished: what it restores, and how far it is."""

    model_config = ConfigDict(frozen=True)

    manifest: Manifest  #: with the moment that is reached
    moment: datetime | None  #: that was asked for
    signer: str  #: of the backup: SHA-256 of the key
    is_renumbered: bool = False  #: numbers go on after those given, and nobody is signed in


def begin(settings: Settings, progress: RestoreProgress) -> None:
    """Note that a restore into this database has begun, perhaps anew. It blocks.

    Raises InvalidRequest when the owner may not, and DependencyUnavailable.
    """
    with owner_connection(settings, unprivileged=UNPRIVILEGED) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {UNFINISHED_RESTORE}".encode())
        connection.execute(f"CREATE TABLE {UNFINISHED_RESTORE} (progress text NOT NULL)".encode())
        connection.execute(
            f"INSERT INTO {UNFINISHED_RESTORE} VALUES (%s)".encode(),  # noqa: S608 - a constant
            (progress.model_dump_json(),),
        )


async def find(connection: AsyncConnection) -> RestoreProgress | None:
    """The restore into this database that is not finished, if there is one."""
    if await connection.scalar(text(f"SELECT to_regclass('{UNFINISHED_RESTORE}')")) is None:
        return None
    query = text(f"SELECT progress FROM {UNFINISHED_RESTORE}")  # noqa: S608 - a constant
    return RestoreProgress.model_validate_json((await connection.execute(query)).scalar_one())


async def save(connection: AsyncConnection, progress: RestoreProgress) -> None:
    """Save how far it is, within the transaction of what was done."""
    statement = text(f"UPDATE {UNFINISHED_RESTORE} SET progress = :progress")  # noqa: S608
    await connection.execute(statement, {"progress": progress.model_dump_json()})


async def end(connection: AsyncConnection) -> None:
    """Note that nothing is left to do: whoever connects is served. Repeatable."""
    await connection.execute(text(f"DROP TABLE IF EXISTS {UNFINISHED_RESTORE}"))
