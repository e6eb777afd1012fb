"""Follow-up calls: another call in one to three days after danger."""

import sqlalchemy as sa
from alembic import op

revision = "0106"
down_revision = "0105"


def upgrade() -> None:
    op.create_table(
        "follow_up_call",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False, comment="who makes it"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "attempts",
            sa.SmallInteger(),
            nullable=False,
            server_default="0",
            comment="that reached nobody",
        ),
        sa.Column("booked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.Text(), comment="see FollowUpResult; none: still to be made"),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.Text(), comment="user:NAME"),
        sa.CheckConstraint(
            "result IN ('reached', 'not_reached', 'declined')",
            name=op.f("ck_follow_up_call_result"),
        ),
        sa.CheckConstraint(
            "(result IS NULL) = (ended_at IS NULL)", name=op.f("ck_follow_up_call_ended")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_follow_up_call_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up_call")),
    )
    op.create_index("ix_follow_up_call_appeal_id", "follow_up_call", ["appeal_id"])
    op.create_index(
        "ix_follow_up_call_due",
        "follow_up_call",
        ["due_at"],
        postgresql_where=sa.text("result IS NULL"),
    )
