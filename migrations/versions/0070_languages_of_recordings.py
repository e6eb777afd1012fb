"""A recording knows the language of its call too, so that those of a consultant in one language are
found without their appeals.

While it runs, recordings are not read and nothing is written about calls, which go on: their
journals wait: about two minutes for each million recordings.
"""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0061"

# By the database itself, as 0052 says of the outcome, in whose place these come.
FUNCTIONS = (
    """
    CREATE FUNCTION recording_of_call() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT outcome, language INTO NEW.call_outcome, NEW.call_language
        FROM appeal WHERE id = NEW.appeal_id FOR SHARE;
        RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION recordings_follow_call() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE recording SET call_outcome = NEW.outcome, call_language = NEW.language
        WHERE appeal_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER of_call BEFORE INSERT ON recording
    FOR EACH ROW EXECUTE FUNCTION recording_of_call()
    """,
    """
    CREATE TRIGGER recordings_follow AFTER UPDATE ON appeal FOR EACH ROW
    WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.language IS DISTINCT FROM NEW.language)
    EXECUTE FUNCTION recordings_follow_call()
    """,
)
BEFORE = (
    "DROP TRIGGER outcome ON recording",
    "DROP TRIGGER outcome ON appeal",
    "DROP FUNCTION recording_outcome()",
    "DROP FUNCTION appeal_outcome()",
)


def upgrade() -> None:
    # In the order in which a call is written.
    op.execute("LOCK TABLE appeal, recording IN SHARE ROW EXCLUSIVE MODE")
    op.add_column(
        "recording",
        sa.Column("call_language", sa.Text(), comment="the same of the language"),
    )
    op.execute(
        "UPDATE recording SET call_language = appeal.language FROM appeal"
        " WHERE appeal.id = recording.appeal_id AND appeal.language IS NOT NULL"
    )
    for statement in (*BEFORE, *FUNCTIONS):
        op.execute(statement)
    op.drop_index("ix_recording_consultant_id", table_name="recording")
    # What is asked of a consultant besides is read in the index, not in the table.
    op.create_index(
        "ix_recording_consultant_id",
        "recording",
        ["consultant_id", "started_at", "id", "call_language", "call_outcome"],
        postgresql_where=sa.text("state = 'stored'"),
    )
    op.create_index(
        "ix_recording_call_language",
        "recording",
        ["call_language", "started_at", "id"],
        postgresql_where=sa.text("state = 'stored'"),
    )
