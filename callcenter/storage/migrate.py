"""Bringing the database to the version of this program (Alembic; see `migrations/`)."""

from alembic import command
from alembic.config import Config
from psycopg.errors import LockNotAvailable
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from callcenter.errors import NotReady
from callcenter.settings import ROOT, Settings
from callcenter.storage.engine import CONNECT_ARGUMENTS, database_address


def migrate(settings: Settings) -> None:
    """Run the migrations that the database has not seen, all in one transaction.

    Safe when several processes do it at once: the others wait, then find nothing to do. Not for
    two threads of one process: Alembic keeps its context in globals. Raises NotReady when the
    database cannot be reached, or when somebody keeps a table for seconds; nothing is changed then.
    """
    engine = create_engine(
        database_address(settings), poolclass=NullPool, connect_args=CONNECT_ARGUMENTS
    )
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise NotReady(
                "somebody is at work in a table that has to be changed, and callers would wait: "
                "nothing was changed; end long queries, then migrate again"
            ) from exc
        raise NotReady("cannot bring the database up: start it or correct its URL") from exc
