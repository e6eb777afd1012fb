"""The end of a call notifies those who have the list of open appeals only if it is on that list."""

from alembic import op

revision = "0100"
down_revision = "0099"

FUNCTION = """
    CREATE FUNCTION notify_open_appeal() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.written OR NEW.urgent <> '{}' OR NEW.outcome = 'lost_to_a_fault'
            OR EXISTS (
                SELECT FROM appeal_event WHERE appeal_id = NEW.id AND kind = 'caller_lost'
            )
        THEN
            PERFORM pg_notify('open_appeals', '');
        END IF;
        RETURN NULL;
    END $$
"""
TRIGGER = """
    CREATE OR REPLACE TRIGGER notify_outcome AFTER UPDATE OF outcome ON appeal FOR EACH ROW
    WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome) EXECUTE FUNCTION notify_open_appeal()
"""


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute(TRIGGER)
