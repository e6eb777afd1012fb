"""Appeals are found within days: one index of terms, stage, region and day (decision 44).

Nobody who reads waits for this. Saving a record waits while the index is built: about a minute for
each million appeals.
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0027"

# Stage and region among the terms, which the database itself adds, so that a process of the version
# before keeps them right too.
FILTERS = "array_remove(ARRAY['=stage:' || stage, '=region:' || (content ->> 'region')], NULL)"
ADDED = """
    UPDATE record_search SET terms = terms || {filters}
    FROM record WHERE record.appeal_id = record_search.appeal_id
"""
KEPT = """
    CREATE FUNCTION record_search_filters() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT ARRAY(SELECT term FROM unnest(NEW.terms) AS term WHERE term NOT LIKE '=%')
            || {filters}
        INTO STRICT NEW.terms FROM record WHERE record.appeal_id = NEW.appeal_id;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    op.execute(ADDED.format(filters=FILTERS))
    op.execute(
        "CREATE INDEX ix_record_search_found ON record_search"
        " USING gin ((ARRAY[(received_at AT TIME ZONE 'UTC')::date - '2000-01-01'::date,"
        " -1 - ((received_at AT TIME ZONE 'UTC')::date - '2000-01-01'::date) / 16]), terms)"
        " WITH (gin_pending_list_limit = 512)"
    )
    op.create_index("ix_record_owner_stage", "record", ["owner", "stage"])
    op.execute(KEPT.format(filters=FILTERS))
    op.execute(
        "CREATE TRIGGER filters BEFORE INSERT OR UPDATE ON record_search"
        " FOR EACH ROW EXECUTE FUNCTION record_search_filters()"
    )
    op.execute(
        """
        CREATE FUNCTION record_filters() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE record_search SET terms = terms WHERE appeal_id = NEW.appeal_id;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER filters AFTER UPDATE ON record FOR EACH ROW"
        " WHEN (OLD.stage <> NEW.stage"
        " OR OLD.content ->> 'region' IS DISTINCT FROM NEW.content ->> 'region')"
        " EXECUTE FUNCTION record_filters()"
    )
    # What others saved meanwhile; nobody saves from here on until this is committed.
    op.execute(
        "UPDATE record_search SET terms = terms FROM record"
        " WHERE record.appeal_id = record_search.appeal_id"
        " AND record.changed_at > now() - interval '10 minutes'"
    )
    op.alter_column(
        "record_search",
        "terms",
        existing_type=sa.ARRAY(sa.Text()),
        comment="stems, folded names, numbers, hashes; by a trigger =stage: and =region:",
    )
    op.drop_index("ix_record_owner", table_name="record")
    op.drop_index("ix_record_search_received_at", table_name="record_search")
    op.drop_index("ix_record_search_terms", table_name="record_search")
