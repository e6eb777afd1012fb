"""Plans for frequent callers."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "caller_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False, comment="E.164"),
        sa.Column("consultant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "times", sa.Text(), nullable=False, comment="when the caller is to call, as agreed"
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="for whoever answers: personal data"),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column(
            "author",
            sa.Text(),
            nullable=False,
            comment="user:NAME, who made or reviewed it last",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="ended, or followed by a newer one",
        ),
        sa.CheckConstraint("number ~ '^[+][0-9]{7,15}$'", name=op.f("ck_caller_plan_number")),
        sa.ForeignKeyConstraint(
            ["consultant_id"],
            ["consultant.id"],
            name=op.f("fk_caller_plan_consultant_id_consultant"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_caller_plan")),
    )
    op.create_index(
        "uq_caller_plan_number",
        "caller_plan",
        ["number"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
