"""What was set aside is set aside until somebody says what became of it; and it is found at once.
Of which keys that sign what is handed over the authority was told.

While the index is built recordings are not written: some seconds for each million.
"""

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"


def upgrade() -> None:
    op.create_table(
        "signing_key",
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the public part, as letters name it",
        ),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="since then the authority knows it",
        ),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_signing_key")),
    )
    op.add_column(
        "recording",
        sa.Column(
            "dealt_with_at",
            sa.DateTime(timezone=True),
            comment="somebody saw to what is wrong with it, see the audit log",
        ),
    )
    op.create_index(
        "ix_recording_aside",
        "recording",
        ["started_at"],
        postgresql_where=sa.text(
            "dealt_with_at IS NULL AND (state = 'failed' OR state = 'stored' AND"
            " abs(extract(epoch FROM ended_at - started_at) * 1000 - duration_ms) > 2000)"
        ),
    )
