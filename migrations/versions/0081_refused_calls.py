"""Counts of calls that Asterisk refused before there was a channel (decision 88)."""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision = "0080"


def upgrade() -> None:
    op.create_table(
        "refused_call",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False, comment="its beginning"),
        sa.Column(
            "trunk", sa.Text(), nullable=False, comment="as its endpoint is named, or registered"
        ),
        sa.Column(
            "status", sa.SmallInteger(), autoincrement=False, nullable=False, comment="of SIP"
        ),
        sa.Column(
            "calls",
            sa.Integer(),
            nullable=False,
            comment="that Asterisk refused without a channel",
        ),
        sa.PrimaryKeyConstraint("hour", "trunk", "status", name=op.f("pk_refused_call")),
    )
