"""Teams of consultants, whose supervisors hear their own."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column(
        "consultant",
        sa.Column("team", sa.Text(), nullable=True, comment="whose supervisors hear its own"),
    )
