"""Working hours of bodies, with days of their own (R22)."""

import sqlalchemy as sa
from alembic import op

revision = "0116"
down_revision = "0114"


def upgrade() -> None:
    op.add_column(
        "body",
        sa.Column(
            "working_hours",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="as OpenStreetMap writes opening hours, then days of its own; empty: unknown",
        ),
    )
