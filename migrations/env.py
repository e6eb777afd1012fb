"""Alembic's environment: runs the migrations on the connection that `callcenter migrate` opened.

A new migration is a file in `versions/`, named NNNN_what_it_does.py, with `revision = "NNNN"` and
`down_revision` the one before. A test tells what it forgot. It must leave the previous release
able to work: processes are restarted one after another. So a step adds; what it replaces goes with
a later release (tests/migrations/test_rolling.py says what is refused).
"""

import importlib
from pathlib import Path

from alembic import context

import callcenter
from callcenter.storage.metadata import metadata

# Any number will do, as long as it stays the same for ever.
ONE_AT_A_TIME = 111_000_001
#: Calls go on meanwhile: whoever wants a table waits behind us for as long as we wait for it.
LOCK_TIMEOUT = "3s"

for tables in sorted(Path(callcenter.__file__).parent.glob("*/tables.py")):
    importlib.import_module(f"callcenter.{tables.parent.name}.tables")

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    # Held until the transaction ends; who waited then sees what the other did.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ONE_AT_A_TIME})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    context.run_migrations()
