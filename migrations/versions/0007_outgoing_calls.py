"""Calls that we make about an appeal."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.alter_column(
        "appeal",
        "channel",
        existing_type=sa.Text(),
        existing_nullable=False,
        existing_comment="how it came: call",
        comment="how it came: call, outgoing",
    )
    op.create_index("ix_appeal_caller_number", "appeal", ["caller_number", "received_at"])
    op.create_table(
        "outgoing_call",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="1 is the appeal's first"),
        sa.Column("number", sa.Text(), nullable=False, comment="E.164, or a short number"),
        sa.Column("consultant_id", sa.Uuid(), nullable=True, comment="who called"),
        sa.Column(
            "call_id",
            sa.Text(),
            nullable=False,
            comment="the switch's id of a leg that lives as long",
        ),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=True,
            comment="exactly one, see line.outcomes; null while the call lives",
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_outgoing_call_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"],
            ["appeal.id"],
            name=op.f("fk_outgoing_call_appeal_id_appeal"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["consultant_id"],
            ["consultant.id"],
            name=op.f("fk_outgoing_call_consultant_id_consultant"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_call")),
        sa.UniqueConstraint("appeal_id", "ordinal", name=op.f("uq_outgoing_call_appeal_id")),
    )
    op.create_index("ix_outgoing_call_number", "outgoing_call", ["number", "began_at"])
    op.create_index(
        "ix_outgoing_call_consultant_id", "outgoing_call", ["consultant_id", "began_at"]
    )
    op.create_index(
        "ix_outgoing_call_live",
        "outgoing_call",
        ["began_at"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
