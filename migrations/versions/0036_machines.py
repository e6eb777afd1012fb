"""Programs that are known by a token, and their tries to learn how appeals stand."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.create_table(
        "machine",
        sa.Column(
            "name", sa.Text(), nullable=False, comment="of a program that may ask, as the portal"
        ),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of its token"),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True), comment="to the minute"),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            comment="never deleted: it is in the audit log",
        ),
        sa.CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{1,39}$'", name=op.f("ck_machine_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_machine")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_machine_token_hash")),
    )
    op.drop_constraint(op.f("ck_status_attempt_scope"), "status_attempt")
    op.create_check_constraint(
        op.f("ck_status_attempt_scope"),
        "status_attempt",
        "scope IN ('appeal', 'caller', 'machine')",
    )
    op.alter_column(
        "status_attempt",
        "scope",
        comment="appeal, caller or machine",
        existing_comment="appeal or caller",
    )
