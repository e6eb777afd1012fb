"""When a recording was sealed: a link of the chain of custody that the authority is given."""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0067"


def upgrade() -> None:
    op.add_column(
        "recording",
        sa.Column(
            "sealed_at",
            sa.DateTime(timezone=True),
            comment="when the register knew of the object",
        ),
    )
