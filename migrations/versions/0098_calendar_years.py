"""Years of the working calendar are entered and corrected on a page."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0098"
down_revision = "0097"


def upgrade() -> None:
    op.create_table(
        "calendar_year",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "version",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="the newest counts",
        ),
        sa.Column(
            "off",
            JSONB(),
            nullable=False,
            comment="days off but weekends: date, kind (DayKind), kk, ru",
        ),
        sa.Column("worked", JSONB(), nullable=False, comment="dates of weekends that are worked"),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("year", "version", name=op.f("pk_calendar_year")),
    )
