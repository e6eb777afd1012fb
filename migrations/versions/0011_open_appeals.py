"""Open appeals have an index: controllers read all the time who had them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index(
        "ix_appeal_open",
        "appeal",
        ["ended_at"],
        postgresql_where=sa.text("urgent <> '{}' OR outcome = 'lost_to_a_fault'"),
    )
