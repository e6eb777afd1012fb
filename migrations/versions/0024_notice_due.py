"""Notices of extensions that are due are found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_index(
        "ix_record_notice_due",
        "record",
        ["notice_due_on"],
        postgresql_where=sa.text("notice_due_on IS NOT NULL"),
    )
