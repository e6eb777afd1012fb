"""Who a person is to the organisation's sign-in."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0031"


def upgrade() -> None:
    op.create_table(
        "web_identity",
        sa.Column("issuer", sa.Text(), nullable=False, comment="of the OpenID Connect provider"),
        sa.Column("subject", sa.Text(), nullable=False, comment="who it is there, for ever"),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_web_identity_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_web_identity")),
        sa.UniqueConstraint("user_id", name=op.f("uq_web_identity_user_id")),
    )
    op.alter_column(
        "web_user",
        "password_hash",
        existing_type=sa.Text(),
        comment="argon2id, PHC string; empty: none fits",
    )
