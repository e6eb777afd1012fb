"""Migrates the database to the version of this program (Alembic; see `migrations/`)."""

from collections.abc import Sequence

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import DATA, Settings
from callcenter.platform.storage.engine import (
    CONNECT_ARGUMENTS,
    database_address,
    refuse_unfinished_restore,
)


def migrate(settings: Settings, *, is_restoring: bool = False, gives_rights: bool = True) -> None:
    """Run the pending migrations, each in a transaction, and give the processes their rights.

    Safe when several processes do it at once: the others wait, then find nothing to do. Not for two
    threads of one process: Alembic keeps its context in globals. Raises DependencyUnavailable when
    the database cannot be reached or is half restored, unless this `is_restoring`, or when somebody
    keeps a table for seconds: that migration is undone then, and those before it stand.
    """
    engine = create_engine(
        database_address(settings), poolclass=NullPool, connect_args=CONNECT_ARGUMENTS
    )
    if not is_restoring:
        refuse_unfinished_restore(engine)
    config = _config()
    try:
        with engine.connect() as connection:
            config.attributes.update(connection=connection, gives_rights=gives_rights)
            command.upgrade(config, "head")
    except OperationalError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise DependencyUnavailable(
                "somebody is at work in a table that has to be changed, and callers would wait: "
                "this step was undone; end long queries, then migrate again"
            ) from exc
        raise DependencyUnavailable(
            "cannot bring the database up: start it or correct its URL"
        ) from exc


def migrations() -> Sequence[Script]:
    """All migrations of this version of the program, the first one first."""
    return [*ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def has_migration(revision: str) -> bool:
    """Whether this version of the program has that migration."""
    return any(each.revision == revision for each in migrations())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(DATA / "migrations"))
    return config
