"""Web processes are notified when a session ends, and controllers when a role changes."""

from alembic import op

revision = "0088"
down_revision = "0087"


def upgrade() -> None:
    op.execute(
        "CREATE TRIGGER sessions AFTER DELETE ON web_session"
        " FOR EACH ROW EXECUTE FUNCTION notify_channel('sessions')"
    )
    op.execute(
        "CREATE OR REPLACE TRIGGER telephones"
        " AFTER UPDATE OF active, entitled, consultant_id, role ON web_user"
        " FOR EACH ROW EXECUTE FUNCTION notify_telephones()"
    )
