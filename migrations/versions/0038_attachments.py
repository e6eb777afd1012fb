"""Files attached to appeals."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0043"

STATES = "'arriving', 'waiting', 'kept', 'aside', 'failed', 'erased'"


def upgrade() -> None:
    op.create_table(
        "record_attachment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "sealed_name", sa.LargeBinary(), comment="what it is called, encrypted; none: erased"
        ),
        sa.Column(
            "type", sa.Text(), nullable=False, comment="by its bytes, see register.filetypes"
        ),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "sha256", sa.Text(), nullable=False, comment="of the file as it came, hexadecimal"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="see register.attachments.State"),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), comment="when clamd looked at it"),
        sa.Column("why", sa.Text(), comment="the virus in it, or why it could not be checked"),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            comment="when an erased file left the store",
        ),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_record_attachment_state")),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_record_attachment_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_attachment")),
    )
    op.create_index("ix_record_attachment_appeal_id", "record_attachment", ["appeal_id", "at"])
    op.create_index(
        "ix_record_attachment_to_do",
        "record_attachment",
        ["state", "at"],
        postgresql_where=sa.text(
            "state IN ('arriving', 'waiting') OR (state = 'erased' AND removed_at IS NULL)"
        ),
    )
