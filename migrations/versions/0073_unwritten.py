"""An appeal knows whether it has a record: those without one are found at once (decision 68).

No row is touched but those without a record. Calls that come meanwhile wait in the journal, and who
reads appeals waits too: about ten seconds for each hundred thousand without one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0073"
down_revision = "0072"

# Before the row, as everybody who is alone with an appeal takes the appeal first and its record
# then. By the database, so that a process of the version before keeps it right too.
FUNCTION = """
    CREATE FUNCTION appeal_is_written() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE appeal SET written = true WHERE id = NEW.appeal_id AND NOT written;
        RETURN NEW;
    END $$
"""
COLUMN = sa.Column(
    "written",
    sa.Boolean,
    nullable=False,
    server_default="true",
    comment="whether it has a record; by a trigger of that table",
)


def upgrade() -> None:
    op.add_column("appeal", COLUMN)
    op.alter_column("appeal", "written", server_default="false")
    op.execute(FUNCTION)
    op.execute(
        "CREATE TRIGGER written BEFORE INSERT ON record"
        " FOR EACH ROW EXECUTE FUNCTION appeal_is_written()"
    )
    op.execute(
        "UPDATE appeal SET written = false"
        " WHERE NOT EXISTS (SELECT FROM record WHERE record.appeal_id = appeal.id)"
    )
    op.create_index(
        "ix_appeal_unwritten",
        "appeal",
        ["received_at", "id"],
        postgresql_where=sa.text("NOT written"),
    )
