"""Recordings may be erased, by two people, and leave a tombstone."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

STATES = "'recording', 'closed', 'stored', 'failed', 'erased'"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_recording_state"), "recording")
    op.create_check_constraint(op.f("ck_recording_state"), "recording", f"state IN ({STATES})")
    op.drop_constraint(op.f("ck_recording_stored"), "recording")
    op.create_check_constraint(
        op.f("ck_recording_stored"),
        "recording",
        "(state IN ('stored', 'erased')) = (sha256 IS NOT NULL)",
    )
    op.alter_column("recording", "state", comment="recording, closed, stored, failed or erased")
    op.create_index(
        "ix_recording_to_remove",
        "recording",
        ["id"],
        postgresql_where=sa.text("state = 'erased' AND store_name IS NOT NULL"),
    )
    op.create_index(
        "ix_recording_plain",
        "recording",
        ["id"],
        postgresql_where=sa.text("state = 'stored' AND sealed_to IS NULL"),
    )
    op.create_table(
        "recording_erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="asked, approved, refused or done"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("order", sa.Text(), comment="the order that it follows: number and date"),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), comment="user:NAME, another one"),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text(), comment="the reason of who decided"),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'done')",
            name=op.f("ck_recording_erasure_state"),
        ),
        sa.CheckConstraint(
            "(state = 'asked') = (decided_by IS NULL)", name=op.f("ck_recording_erasure_decided")
        ),
        sa.CheckConstraint("asked_by <> decided_by", name=op.f("ck_recording_erasure_two_persons")),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recording.id"],
            name=op.f("fk_recording_erasure_recording_id_recording"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recording_erasure")),
    )
    op.create_index(
        "uq_recording_erasure_asked",
        "recording_erasure",
        ["recording_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index("ix_recording_erasure_recording_id", "recording_erasure", ["recording_id"])
