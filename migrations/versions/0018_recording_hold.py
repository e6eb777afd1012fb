"""Why recordings are held from retention."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "recording_hold",
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="such as demand:26-0001"),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="while it is null, retention waits",
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recording.id"],
            name=op.f("fk_recording_hold_recording_id_recording"),
        ),
        sa.PrimaryKeyConstraint("recording_id", "reason", name=op.f("pk_recording_hold")),
    )
    op.create_index("ix_recording_hold_reason", "recording_hold", ["reason"], unique=False)
