"""The database notifies those who looked every second or two whether there is something to do."""

from alembic import op

revision = "0078"
down_revision = "0077"

FUNCTION = """
    CREATE FUNCTION notify_channel() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify(TG_ARGV[0], '');
        RETURN NULL;
    END $$
"""
TRIGGERS = (
    """
    CREATE TRIGGER notify_outcome AFTER UPDATE OF outcome ON appeal FOR EACH ROW
    WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome)
    EXECUTE FUNCTION notify_channel('open_appeals')
    """,
    """
    CREATE TRIGGER notify_stage AFTER UPDATE OF stage ON record FOR EACH ROW
    WHEN (OLD.stage IS DISTINCT FROM NEW.stage)
    EXECUTE FUNCTION notify_channel('open_appeals')
    """,
    """
    CREATE TRIGGER notify_new AFTER INSERT ON record FOR EACH STATEMENT
    EXECUTE FUNCTION notify_channel('open_appeals')
    """,
    """
    CREATE TRIGGER notify_open AFTER INSERT OR UPDATE OF state ON promise FOR EACH ROW
    WHEN (NEW.state = 'open') EXECUTE FUNCTION notify_channel('open_callbacks')
    """,
    """
    CREATE TRIGGER notify_closed AFTER UPDATE OF state ON recording FOR EACH ROW
    WHEN (NEW.state = 'closed') EXECUTE FUNCTION notify_channel('closed_recordings')
    """,
)


def upgrade() -> None:
    op.execute(FUNCTION)
    for each in TRIGGERS:
        op.execute(each)
