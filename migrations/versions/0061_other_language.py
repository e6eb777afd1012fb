"""Calls in another language than was chosen have an index: live figures count them all the time."""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0065"


def upgrade() -> None:
    op.create_index(
        "ix_appeal_event_other_language",
        "appeal_event",
        ["at"],
        postgresql_where=sa.text("kind = 'other_language'"),
    )
