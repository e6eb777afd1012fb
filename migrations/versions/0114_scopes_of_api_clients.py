"""The token of an API client is for named scopes: those of before ask for the status alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0114"
down_revision = "0113"


def upgrade() -> None:
    op.add_column(
        "machine",
        sa.Column(
            "scopes",
            ARRAY(sa.Text()),
            server_default="{status.ask}",
            nullable=False,
            comment="permissions that the token has, of those of programs",
        ),
    )
