"""Numbers of people who asked not to be called."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "call_unwanted",
        sa.Column("number", sa.Text(), nullable=False, comment="E.164"),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_call_unwanted")),
    )
