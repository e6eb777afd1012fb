"""Tries to learn by telephone how an appeal stands."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "status_attempt",
        sa.Column("scope", sa.Text(), nullable=False, comment="appeal or caller"),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="number of the appeal, or whoever asks"
        ),
        sa.Column(
            "count",
            sa.Integer(),
            nullable=False,
            comment="since first_at, without those that fitted",
        ),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("scope IN ('appeal', 'caller')", name=op.f("ck_status_attempt_scope")),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_status_attempt")),
    )
    op.create_index("ix_status_attempt_first_at", "status_attempt", ["first_at"])
