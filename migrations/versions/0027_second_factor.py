"""A second factor at sign-in, its recovery codes, and the way between password and code."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "sign_in_entrance",
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the cookie's token",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the password was right; the second factor is owed",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_sign_in_entrance_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sign_in_entrance")),
    )
    op.create_index("ix_sign_in_entrance_user_id", "sign_in_entrance", ["user_id"])
    op.create_index("ix_sign_in_entrance_created_at", "sign_in_entrance", ["created_at"])
    op.create_table(
        "second_factor",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "secret", sa.LargeBinary(), nullable=False, comment="of TOTP, encrypted: see cipher"
        ),
        sa.Column(
            "last_step",
            sa.BigInteger(),
            nullable=False,
            comment="of the last code that was accepted",
        ),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_second_factor_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factor")),
    )
    op.create_table(
        "recovery_code",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "code_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256; a used one is deleted",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["second_factor.user_id"],
            name=op.f("fk_recovery_code_user_id_second_factor"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name=op.f("pk_recovery_code")),
    )
