"""Recordings are found by consultant, time, length and what became of the call."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

STORED = sa.text("state = 'stored'")


def upgrade() -> None:
    op.create_index(
        "ix_recording_started_at", "recording", ["started_at", "id"], postgresql_where=STORED
    )
    op.create_index(
        "ix_recording_consultant_id",
        "recording",
        ["consultant_id", "started_at", "id"],
        postgresql_where=STORED,
    )
    op.create_index(
        "ix_recording_duration_ms", "recording", ["duration_ms"], postgresql_where=STORED
    )
    op.create_index("ix_appeal_outcome", "appeal", ["outcome", "received_at"])
