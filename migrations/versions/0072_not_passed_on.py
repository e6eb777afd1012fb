"""What is urgent and was not passed on is a column, by which the work list finds it at once.

By the condition alone the planner expected every sixth record, and read all of them. The table is
written anew meanwhile: records cannot be read or saved for some seconds for each million appeals.
"""

import sqlalchemy as sa
from alembic import op

revision = "0072"
down_revision = "0069"

COLUMN = sa.Column(
    "not_passed_on",
    sa.Boolean,
    sa.Computed(
        "danger_passed_at IS NULL AND coalesce(kind = 'danger'"
        " OR content->>'danger' = 'yes' OR content->>'urgency' = 'urgent', false)",
        persisted=True,
    ),
    comment="urgent, and nobody who can help was told",
)


def upgrade() -> None:
    op.drop_index("ix_record_urgent", table_name="record")
    op.add_column("record", COLUMN)
    op.create_index(
        "ix_record_urgent", "record", ["appeal_id"], postgresql_where=sa.text("not_passed_on")
    )
