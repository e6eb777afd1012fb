"""The moment at which a request to a body leaves, and the notice to its applicant (R22)."""

import sqlalchemy as sa
from alembic import op

revision = "0117"
down_revision = "0116"


def upgrade() -> None:
    op.add_column(
        "body_request",
        sa.Column(
            "leaves_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it is ready: not before (R22)",
        ),
    )
    op.add_column(
        "body_request",
        sa.Column(
            "notified_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the applicant: which body has it",
        ),
    )
    op.add_column(
        "body_request",
        sa.Column(
            "notice_due_on",
            sa.Date(),
            nullable=True,
            comment="last day of it; none: somebody saw to it",
        ),
    )
    op.create_index(
        "ix_body_request_notice",
        "body_request",
        ["notice_due_on", "appeal_id"],
        postgresql_where=sa.text("number IS NOT NULL AND notified_at IS NULL"),
    )
