"""A report of danger is urgent, whatever else its record says; articles are cited without English.

Saving a record waits while the index is built: some seconds for each million appeals.
"""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0058"

URGENT = (
    "danger_passed_at IS NULL AND (kind = 'danger'"
    " OR content->>'danger' = 'yes' OR content->>'urgency' = 'urgent')"
)


def upgrade() -> None:
    op.drop_index("ix_record_urgent", table_name="record")
    op.create_index("ix_record_urgent", "record", ["appeal_id"], postgresql_where=sa.text(URGENT))
    # They stand on receipts, in Kazakh or Russian.
    for table, column in (("law_term", "article"), ("record", "due_article")):
        op.execute(
            f"UPDATE {table} SET {column} = '350-VI, ' || substr({column}, 6)"  # noqa: S608
            f" WHERE {column} LIKE 'APPC %'"
        )
