"""Steps of migrations on large tables, during which nobody waits to write."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

#: Calls go on meanwhile: whoever wants a table waits behind us for as long as we wait for it.
LOCK_TIMEOUT = "3s"
BATCH = 5000  #: rows of one transaction: well below a second, in which their writers wait


def build_index(
    name: str, table: str, columns: Sequence[str | sa.ColumnElement[Any]], **options: Any
) -> None:
    """Build an index while the table is written (CREATE INDEX CONCURRENTLY).

    By itself in its migration, as it is outside of transactions: one that was cut short is invalid,
    and is built anew. `options` are those of `op.create_index`.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")  # nobody waits behind it
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def update_in_batches(table: str, key: str, values: str, where: str) -> None:
    """Update rows of a large table, each batch in a transaction of its own.

    `where` must be false for a row that is updated: so it ends, and may be begun again. `key` is
    the primary key. By itself in its migration, as it is outside of one transaction.
    """
    statement = (  # all of it is the migration's own
        f"UPDATE {table} SET {values} WHERE {key} IN"  # noqa: S608
        f" (SELECT {key} FROM {table} WHERE {where} LIMIT {BATCH})"
    )
    with op.get_context().autocommit_block():
        if op.get_context().as_sql:
            op.execute(statement)
            return
        while op.get_bind().execute(sa.text(statement)).rowcount:
            continue
