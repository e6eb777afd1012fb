"""Wrong tries shut out who tries: browsers that are known, and tries by network and for codes."""

import sqlalchemy as sa
from alembic import op

revision = "0086"
down_revision = "0085"

SCOPES = "scope IN ('name', 'address', 'network', 'device', 'code')"


def upgrade() -> None:
    op.create_table(
        "sign_in_device",
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the token of a browser",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the user's last sign-in there",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_sign_in_device_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", "user_id", name=op.f("pk_sign_in_device")),
    )
    op.create_index("ix_sign_in_device_user_id", "sign_in_device", ["user_id"])
    op.create_index("ix_sign_in_device_seen_at", "sign_in_device", ["seen_at"])
    op.drop_constraint(op.f("ck_sign_in_attempt_scope"), "sign_in_attempt")
    op.create_check_constraint(op.f("ck_sign_in_attempt_scope"), "sign_in_attempt", SCOPES)
    op.alter_column(
        "sign_in_attempt",
        "scope",
        comment="what is counted: see Scope",
        existing_comment="name or address",
    )
    op.alter_column(
        "sign_in_attempt",
        "key",
        comment="SHA-256 of what is counted",
        existing_comment="SHA-256 of the name or address",
    )
