"""Alembic's environment: runs the migrations on the connection that `callcenter migrate` opened.

A new migration is a file in `versions/`, named NNNN_what_it_does.py, with `revision = "NNNN"` and
`down_revision` the one before. A test tells what it forgot. It must leave the previous release
able to work: processes are restarted one after another. So a step adds; what it replaces goes with
a later release (tests/migrations/test_rolling.py says what is refused). Nobody who writes calls may
wait for a second at a million rows (tests/migrations/test_waits.py says what is refused).
"""

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, text

import callcenter
import callcenter.bootstrap.rooms
from callcenter.platform.storage.metadata import metadata
from callcenter.platform.storage.migration_steps import LOCK_TIMEOUT
from callcenter.platform.storage.table_rights import apply_rights

# Any number will do, as long as it stays the same for ever.
ONE_AT_A_TIME = 111_000_001
POLL_INTERVAL = 0.2  # seconds


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    """Hold the lock of whoever migrates, outside transactions: who waited sees what was done.

    Whoever waits has no transaction open, for which an index that is built beside would wait.
    """
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ONE_AT_A_TIME})")):
        connection.commit()
        time.sleep(POLL_INTERVAL)
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ONE_AT_A_TIME})")
        connection.commit()


PACKAGE = Path(callcenter.__file__).parent
for tables in sorted(PACKAGE.rglob("tables.py")):
    importlib.import_module(".".join(tables.with_suffix("").relative_to(PACKAGE.parent).parts))

connection = context.config.attributes["connection"]
with one_at_a_time(connection):
    # One transaction a step: no table stays locked while the next one works.
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
    if context.config.attributes.get("gives_rights", True):
        apply_rights(connection)
        connection.commit()
