"""The organisation's sign-in is asked again about people while they are signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0089"
down_revision = "0088"


def upgrade() -> None:
    op.add_column(
        "web_identity",
        sa.Column(
            "refresh_token",
            sa.LargeBinary(),
            comment="encrypted; by it the provider is asked again",
        ),
    )
    op.add_column(
        "web_identity",
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            comment="when the provider last said that the person is in a group of ours",
        ),
    )
    op.add_column(
        "web_identity",
        sa.Column("checked_at", sa.DateTime(timezone=True), comment="when it was last asked"),
    )
