"""Refusals beyond the first of a person in an hour are counted, not entered one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0092"
down_revision = "0091"


def upgrade() -> None:
    op.create_table(
        "refusal_count",
        sa.Column("who", sa.Text(), nullable=False, comment="user:NAME or machine:NAME"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="the first one"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_refusal_count")),
    )
