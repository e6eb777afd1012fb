"""Calls whose language nobody at work spoke have an index: live figures count them all the time."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_index(
        "ix_appeal_event_nobody_speaks",
        "appeal_event",
        ["at"],
        postgresql_where=sa.text("kind = 'nobody_speaks'"),
    )
