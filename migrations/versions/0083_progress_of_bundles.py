"""How far a bundle is made is seen while it is."""

import sqlalchemy as sa
from alembic import op

revision = "0083"
down_revision = "0082"


def upgrade() -> None:
    op.add_column(
        "disclosure",
        sa.Column(
            "made_percent",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="how much of the bundle was packed when last noted",
        ),
    )
