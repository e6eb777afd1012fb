"""Why a call is urgent, and the numbers from which no calls are taken for a time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "appeal",
        sa.Column(
            "urgent",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="why, in the order of telling: silent, danger",
        ),
    )
    op.create_check_constraint(
        op.f("ck_appeal_urgent"), "appeal", "urgent <@ ARRAY['silent', 'danger']"
    )
    op.create_table(
        "blocked_number",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False, comment="E.164"),
        sa.Column(
            "until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="calls come through again",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="see abuse.blocks.Reason"),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "lifted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="ended before its time, or by a newer one",
        ),
        sa.CheckConstraint("number ~ '^[+][0-9]{7,15}$'", name=op.f("ck_blocked_number_number")),
        sa.CheckConstraint("until > created_at", name=op.f("ck_blocked_number_until")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocked_number")),
    )
    op.create_index(
        "uq_blocked_number_number",
        "blocked_number",
        ["number"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_index("ix_blocked_number_created_at", "blocked_number", ["created_at"])
