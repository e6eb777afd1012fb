"""Consultants whose telephone is the browser (decision 47)."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0041"


def upgrade() -> None:
    op.add_column(
        "consultant",
        sa.Column(
            "in_browser",
            sa.Boolean(),
            nullable=False,
            server_default="false",
            comment="the telephone is the page of work, not a softphone",
        ),
    )
