"""Manifest of a backup: the moment that it is of, and what it holds."""

import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.backup.archive import DamagedBackup
from callcenter.platform.audit import store as audit
from callcenter.platform.core.errors import OperationFailed
from callcenter.recordings import store as recordings

MANIFEST = "manifest.json"

#: What no backup holds, and what becomes of it.
LEFT_OUT = (
    "the spool and spooled journals: calls are entered again, or ended, from the CEL log",
    "Redis: it is rebuilt from the database",
    "Asterisk's configuration and prompts: they are made again",
)


class DatabaseFacts(BaseModel):
    """The database at the moment of the backup, in its snapshot."""

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    migration: str
    server: str
    owner: str  #: the role; where it restores there must be one of that name
    numbers: Mapping[int, int]  #: last sequence number of appeals by the year, in two digits
    audit_entry: int  #: the newest; 0: none
    recordings: int  #: stored ones
    bytes: int = 0  #: on the disks of its server; of an earlier version not known

    @property
    def major(self) -> int:
        """The major version of the server."""
        return int(self.server.partition(".")[0])


class ServerFacts(BaseModel):
    """The server of a base backup."""

    model_config = ConfigDict(frozen=True)

    system: str  #: its identifier; its log is archived below it
    database: str  #: the name of ours
    segment: int  #: bytes of a segment of its log


class StoreFacts(BaseModel):
    """The store of recordings and attachments right after that moment."""

    model_config = ConfigDict(frozen=True)

    objects: int = 0
    bytes: int = 0
    recordings: int = 0  #: objects whose hash the register knows
    included: bool = False  #: the objects themselves, else their list alone


class Manifest(BaseModel):
    """The first member of an archive."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1, 2] = 1  #: 2: a base backup, which versions before cannot restore
    name: str
    version: str = version("callcenter")
    machine: str = platform.node()
    database: DatabaseFacts
    server: ServerFacts | None = None  #: of a base backup, else it has a dump
    store: StoreFacts
    left_out: tuple[str, ...] = LEFT_OUT

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """Parse a manifest. Raises DamagedBackup when it is none, or of a later version."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as exc:
            raise DamagedBackup("the manifest of the backup is of another version") from exc

    def describe(self) -> list[str]:
        """Its contents, in lines for a person."""
        database, store = self.database, self.store
        objects = f"{store.objects} objects, {store.bytes / 1024**2:.0f} MiB"
        kind = "a dump" if self.server is None else "a base backup"
        return [
            f"{self.name}: of {database.taken_at:%Y-%m-%d %H:%M:%S} UTC, on {self.machine}",
            f"database: {kind}, migration {database.migration}, {database.recordings} recordings, "
            f"audit log up to entry {database.audit_entry}",
            f"store: {objects}, {'with' if store.included else 'their list without'} the objects",
        ]


async def read_facts(connection: AsyncConnection) -> DatabaseFacts:
    """The facts of the snapshot of this transaction.

    Raises OperationFailed when the database was never migrated.
    """
    found = await connection.execute(
        text(
            "SELECT now(), current_setting('server_version'), current_user,"
            " to_regclass('alembic_version') IS NOT NULL, pg_database_size(current_database())"
        )
    )
    taken_at, server, owner, is_migrated, size = found.one()
    if not is_migrated:
        raise OperationFailed("the database has no tables: there is nothing to back up")
    tip = await audit.last(connection)
    return DatabaseFacts(
        taken_at=taken_at,
        migration=await connection.scalar(text("SELECT version_num FROM alembic_version")),
        server=server,
        owner=owner,
        numbers=await appeals.read_counters(connection),
        audit_entry=tip.id if tip else 0,
        recordings=await recordings.count_stored(connection),
        bytes=size,
    )


async def read_server(connection: AsyncConnection) -> ServerFacts:
    """The facts of the server."""
    found = await connection.execute(
        text(
            "SELECT system_identifier::text, current_database(), setting::int"
            " FROM pg_control_system(), pg_settings WHERE name = 'wal_segment_size'"
        )
    )
    system, database, segment = found.one()
    return ServerFacts(system=system, database=database, segment=segment)
