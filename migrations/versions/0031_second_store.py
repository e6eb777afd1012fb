"""Recordings have a copy in a second store."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0039"


def upgrade() -> None:
    op.add_column(
        "recording",
        sa.Column(
            "copied_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since then it is in the second store",
        ),
    )
    op.create_index(
        "ix_recording_to_copy",
        "recording",
        ["ended_at", "id"],
        postgresql_where=sa.text("state = 'stored' AND copied_at IS NULL"),
    )
