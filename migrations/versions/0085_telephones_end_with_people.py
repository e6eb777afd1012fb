"""A telephone ends with its person: in a browser with the session, everywhere with the account."""

import sqlalchemy as sa
from alembic import op

revision = "0085"
down_revision = "0084"

#: What changes who may have a telephone and be offered callers: controllers are notified at once.
WATCHED = {
    "consultant": "INSERT OR UPDATE OR DELETE",
    "browser_telephone": "INSERT OR UPDATE OR DELETE",
    "web_user": "UPDATE OF active, entitled, consultant_id",
}


def upgrade() -> None:
    op.add_column(
        "web_user",
        sa.Column(
            "entitled",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="false: in no group of the organisation's sign-in when last heard of there",
        ),
    )
    op.create_table(
        "browser_telephone",
        sa.Column("consultant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "session_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="of the session that this secret is of, and ends with",
        ),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="as that of a consultant; nobody types it",
        ),
        sa.ForeignKeyConstraint(
            ["consultant_id"],
            ["consultant.id"],
            name=op.f("fk_browser_telephone_consultant_id_consultant"),
        ),
        sa.ForeignKeyConstraint(
            ["session_hash"],
            ["web_session.token_hash"],
            name=op.f("fk_browser_telephone_session_hash_web_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("consultant_id", name=op.f("pk_browser_telephone")),
    )
    op.create_index("ix_browser_telephone_session_hash", "browser_telephone", ["session_hash"])
    op.execute(
        "CREATE FUNCTION notify_telephones() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_notify('telephones', ''); RETURN NULL; END $$"
    )
    for table, changes in WATCHED.items():
        op.execute(
            f"CREATE TRIGGER telephones AFTER {changes} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION notify_telephones()"
        )
