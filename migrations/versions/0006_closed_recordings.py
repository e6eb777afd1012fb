"""Closed recordings are their own queue: an index of them, and no jobs any more."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index(
        "ix_recording_closed",
        "recording",
        ["ended_at"],
        postgresql_where=sa.text("state = 'closed'"),
    )
    op.execute("DELETE FROM procrastinate_jobs WHERE task_name LIKE 'recordings.%'")
