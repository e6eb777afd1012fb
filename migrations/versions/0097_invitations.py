"""Invitations: a link, good once, by which a user chooses a password."""

import sqlalchemy as sa
from alembic import op

revision = "0097"
down_revision = "0096"


def upgrade() -> None:
    op.create_table(
        "invitation",
        sa.Column(
            "token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the link's token"
        ),
        sa.Column(
            "user_id",
            sa.Uuid(),
            comment="who chooses a password by it;"
            " none: the first administrator, who is added by it",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_invitation_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_invitation")),
    )
    op.create_index(
        "uq_invitation_user_id",
        "invitation",
        ["user_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("ix_invitation_created_at", "invitation", ["created_at"])
