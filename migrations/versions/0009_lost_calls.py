"""Calls lost by our fault have an index: controllers read them all the time."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index(
        "ix_appeal_lost",
        "appeal",
        ["ended_at"],
        postgresql_where=sa.text("outcome = 'lost_to_a_fault'"),
    )
