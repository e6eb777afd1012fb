"""Appeals are found by kind, direction, topic, who answers, urgency and channel too (decision 65).

Nobody who reads waits for this. Saving a record waits while all are kept anew: about two minutes
for each million appeals. An appeal that a call opens meanwhile waits in the journal, for a second.
"""

from alembic import op

revision = "0069"
down_revision = "0068"

# As in 0043: the database itself adds them, so that no statement and no other version forgets one.
KEPT = """
    CREATE OR REPLACE FUNCTION record_search_filters() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT ARRAY(SELECT term FROM unnest(NEW.terms) AS term WHERE term NOT LIKE '=%')
            || array_remove(ARRAY[
                '=stage:' || stage, '=kind:' || kind, '=owner:' || owner, '=channel:' || channel,
                '=region:' || (content ->> 'region'),
                CASE WHEN kind = 'danger' OR content ->> 'danger' = 'yes'
                    OR content ->> 'urgency' = 'urgent' THEN '=urgent' END
            ], NULL)
            || ARRAY(SELECT '=direction:' || jsonb_array_elements_text(content -> 'direction'))
            || ARRAY(SELECT '=topic:' || jsonb_array_elements_text(content -> 'topics'))
        INTO STRICT NEW.terms
        FROM record JOIN appeal ON appeal.id = record.appeal_id
        WHERE record.appeal_id = NEW.appeal_id;
        RETURN NEW;
    END $$
"""
CHANGED = """
    CREATE OR REPLACE TRIGGER filters AFTER UPDATE ON record FOR EACH ROW
    WHEN ((OLD.stage, OLD.kind, OLD.owner, OLD.content -> 'region', OLD.content -> 'danger',
           OLD.content -> 'urgency', OLD.content -> 'direction', OLD.content -> 'topics')
        IS DISTINCT FROM
          (NEW.stage, NEW.kind, NEW.owner, NEW.content -> 'region', NEW.content -> 'danger',
           NEW.content -> 'urgency', NEW.content -> 'direction', NEW.content -> 'topics'))
    EXECUTE FUNCTION record_filters()
"""


def upgrade() -> None:
    op.execute(KEPT)
    # Those of which nothing was entered, or is kept, could not be found by filters.
    op.execute(
        "INSERT INTO record_search (appeal_id, terms, received_at)"
        " SELECT record.appeal_id, '{}', received_at FROM record"
        " JOIN appeal ON appeal.id = record.appeal_id"
        " ON CONFLICT DO NOTHING"
    )
    op.execute("UPDATE record_search SET terms = terms")
    op.execute(CHANGED)
    # What others saved meanwhile; nobody saves from here on until this is committed.
    op.execute(
        "UPDATE record_search SET terms = terms FROM record"
        " WHERE record.appeal_id = record_search.appeal_id"
        " AND record.changed_at > now() - interval '10 minutes'"
    )
    op.alter_column(
        "record_search",
        "terms",
        comment="stems, folded names, numbers, hashes; by a trigger what is filtered by: =stage:x",
    )
    op.create_index("ix_appeal_channel", "appeal", ["channel", "received_at"])
