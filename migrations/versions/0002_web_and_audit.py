"""People who sign in to the pages, their sessions and attempts, and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_users()
    create_sessions()
    create_attempts()
    create_audit()


def create_users() -> None:
    op.create_table(
        "web_user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="what is typed to sign in"),
        sa.Column("password_hash", sa.Text(), nullable=False, comment="argon2id, PHC string"),
        sa.Column("role", sa.Text(), nullable=False, comment="see web.permissions.Role"),
        sa.Column(
            "active", sa.Boolean(), server_default="true", nullable=False, comment="never deleted"
        ),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{1,39}$'", name=op.f("ck_web_user_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_user")),
        sa.UniqueConstraint("name", name=op.f("uq_web_user_name")),
    )


def create_sessions() -> None:
    op.create_table(
        "web_session",
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the cookie's token",
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, comment="to the minute"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_web_session_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_session")),
    )
    op.create_index("ix_web_session_user_id", "web_session", ["user_id"])
    op.create_index("ix_web_session_created_at", "web_session", ["created_at"])


def create_attempts() -> None:
    op.create_table(
        "sign_in_attempt",
        sa.Column("scope", sa.Text(), nullable=False, comment="name or address"),
        sa.Column(
            "key", sa.LargeBinary(), nullable=False, comment="SHA-256 of the name or address"
        ),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("scope IN ('name', 'address')", name=op.f("ck_sign_in_attempt_scope")),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_sign_in_attempt")),
    )
    op.create_index("ix_sign_in_attempt_last_at", "sign_in_attempt", ["last_at"])


def create_audit() -> None:
    op.create_table(
        "audit_entry",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="1, 2, 3: no gaps",
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False, comment="user:NAME, system:NAME or anonymous"),
        sa.Column("action", sa.Text(), nullable=False, comment="see audit.actions"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("from_address", sa.Text()),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="see audit.chain"),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_audit_entry_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject", "action", "at"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    # Whatever the program does by mistake, what was written stays as it was.
    op.execute(
        """
        CREATE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
        FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_append_only()
        """
    )
