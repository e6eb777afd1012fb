"""A recording knows what became of its call, so that one index finds the newest of any outcome.

While it runs, recordings are not read and nothing is written about calls, which go on: their
journals wait: about a minute for each million recordings.
"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0046"

# By the database itself, so that a process of the version before keeps them right too. An appeal
# that is being closed waits for who adds a recording to it, and the other way round: whoever comes
# second sees what the first one did.
FUNCTIONS = (
    """
    CREATE FUNCTION recording_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT outcome INTO NEW.call_outcome FROM appeal WHERE id = NEW.appeal_id FOR SHARE;
        RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION appeal_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE recording SET call_outcome = NEW.outcome WHERE appeal_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER outcome BEFORE INSERT ON recording
    FOR EACH ROW EXECUTE FUNCTION recording_outcome()
    """,
    """
    CREATE TRIGGER outcome AFTER UPDATE ON appeal FOR EACH ROW
    WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome) EXECUTE FUNCTION appeal_outcome()
    """,
)


def upgrade() -> None:
    # In the order in which a call is written.
    op.execute("LOCK TABLE appeal, recording IN SHARE ROW EXCLUSIVE MODE")
    op.add_column(
        "recording",
        sa.Column("call_outcome", sa.Text(), comment="of the appeal, by a trigger: to find it by"),
    )
    op.execute(
        "UPDATE recording SET call_outcome = appeal.outcome FROM appeal"
        " WHERE appeal.id = recording.appeal_id AND appeal.outcome IS NOT NULL"
    )
    for statement in FUNCTIONS:
        op.execute(statement)
    op.create_index(
        "ix_recording_call_outcome",
        "recording",
        ["call_outcome", "started_at", "id"],
        postgresql_where=sa.text("state = 'stored'"),
    )
    op.drop_index("ix_appeal_outcome", table_name="appeal")
