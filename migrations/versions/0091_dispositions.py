"""What had no request keeps which it was, without personal data."""

import sqlalchemy as sa
from alembic import op

revision = "0091"
down_revision = "0090"


def upgrade() -> None:
    op.add_column(
        "record",
        sa.Column("disposition", sa.Text(), comment="of what had no request, see Disposition"),
    )
