"""The audit log refuses changes also where triggers are off, and to who owns it."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    # Else `session_replication_role = replica` would be a way around it.
    op.execute("ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER append_only")
    # Who owns the table could give it back, and a superuser needs none: docs/decisions/0019.
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM PUBLIC, CURRENT_USER")
