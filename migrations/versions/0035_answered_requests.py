"""Answers to requests that may be sent again with the same Idempotency-Key."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0035"
down_revision = "0044"


def upgrade() -> None:
    op.create_table(
        "answered_request",
        sa.Column(
            "key_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of who and Idempotency-Key",
        ),
        sa.Column(
            "request_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="of the request, keyed by the key",
        ),
        sa.Column(
            "answer", JSONB(), nullable=False, comment="as it is given again; nothing personal"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_answered_request")),
    )
    op.create_index("ix_answered_request_at", "answered_request", ["at"])
