"""What people said about being reached is kept word by word, and binds (decision 80).

The words of the field "safe ways to be in touch" are taken over from records, and the numbers that
were not to be called. Until the version before is gone, both lists are kept alike by triggers: that
version reads `call_unwanted` alone. What it saves in that field meanwhile is shown in the record
and binds once the record is saved with another value. A letter is a further option of the field.
About ten seconds for each million records, in which nobody waits: what locks appeals comes last,
and 0084 checks it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0076"
down_revision = "0075"

OF_NUMBERS = """
    INSERT INTO contact_wish (appeal_id, person, number, channel, allowed, at, author)
    SELECT (
        SELECT id FROM appeal WHERE caller_number = listed.number
        ORDER BY received_at DESC LIMIT 1
    ), '', listed.number, 'call', false, listed.asked_at, listed.author
    FROM call_unwanted AS listed
"""
# In the order in which they count: nothing, but what was chosen.
OF_RECORDS = """
    WITH said AS (
        SELECT record.appeal_id, split_part(field.key, '.', 1) AS person, record.changed_at,
            CASE jsonb_typeof(field.value) WHEN 'array' THEN field.value
                ELSE jsonb_build_array(field.value) END AS ways
        FROM record, jsonb_each(record.content) AS field
        WHERE field.key LIKE '%.safe_ways'
    ), words AS (
        SELECT appeal_id, person, '' AS channel, false AS allowed, changed_at, 0 AS place FROM said
        UNION ALL
        SELECT appeal_id, person, way, true, changed_at, 1
        FROM said, jsonb_array_elements_text(ways) AS way
        WHERE NOT ways @> '["none"]'
    )
    INSERT INTO contact_wish (appeal_id, person, channel, allowed, at, author)
    SELECT appeal_id, person, channel, allowed, changed_at, 'system:upgrade'
    FROM words ORDER BY appeal_id, person, place
"""
LETTER = """
    INSERT INTO record_field
    SELECT code, section, version + 1, type, guard, kk, ru, en, position,
        options || '[{"code": "letter", "kk": "Хат", "ru": "Письмо", "en": "Letter",
            "parent": "", "active": true}]'::jsonb,
        active, built_in, 'system:upgrade', now()
    FROM record_field AS field
    WHERE code = 'safe_ways' AND section = 'person'
        AND version = (
            SELECT max(version) FROM record_field WHERE code = 'safe_ways' AND section = 'person'
        )
        AND NOT options @> '[{"code": "letter"}]'
"""
TO_WISHES = """
    CREATE FUNCTION call_unwanted_is_wish() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF pg_trigger_depth() > 1 THEN
            RETURN NULL;
        ELSIF TG_OP = 'INSERT' THEN
            INSERT INTO contact_wish (appeal_id, person, number, channel, allowed, at, author)
            VALUES ((
                SELECT id FROM appeal WHERE caller_number = NEW.number
                ORDER BY received_at DESC LIMIT 1
            ), '', NEW.number, 'call', false, NEW.asked_at, NEW.author);
        ELSE
            INSERT INTO contact_wish (appeal_id, person, number, channel, allowed, at, author)
            SELECT id, '', OLD.number, 'call', true, now(), OLD.author
            FROM appeal WHERE caller_number = OLD.number ORDER BY received_at DESC LIMIT 1;
        END IF;
        RETURN NULL;
    END $$
"""
FROM_WISHES = """
    CREATE FUNCTION contact_wish_is_unwanted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF pg_trigger_depth() > 1 THEN
            RETURN NULL;
        ELSIF NEW.allowed THEN
            DELETE FROM call_unwanted WHERE number = NEW.number;
        ELSE
            INSERT INTO call_unwanted (number, author, asked_at)
            VALUES (NEW.number, NEW.author, NEW.at) ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.create_table(
        "contact_wish",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), comment="none: its appeal was masked"),
        sa.Column(
            "person",
            sa.Text(),
            nullable=False,
            comment="applicant, affected1, ...; empty: who called",
        ),
        sa.Column("number", sa.Text(), comment="E.164; none: all numbers of the person"),
        sa.Column(
            "channel", sa.Text(), nullable=False, comment="call, sms, email, letter; empty: all"
        ),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("hours_from", sa.Time(), comment="in Asia/Almaty, of what is allowed"),
        sa.Column("hours_to", sa.Time()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when it was said"),
        sa.Column(
            "author",
            sa.Text(),
            nullable=False,
            comment="user:NAME who heard it; caller: by a key",
        ),
        sa.CheckConstraint(
            "appeal_id IS NOT NULL OR number IS NOT NULL", name=op.f("ck_contact_wish_about")
        ),
        sa.CheckConstraint(
            "(hours_from IS NULL) = (hours_to IS NULL) AND (allowed OR hours_from IS NULL)",
            name=op.f("ck_contact_wish_hours"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_wish")),
    )
    op.create_index("ix_contact_wish_appeal_id", "contact_wish", ["appeal_id"])
    op.create_index(
        "ix_contact_wish_number",
        "contact_wish",
        ["number"],
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    for statement in (OF_NUMBERS, OF_RECORDS, LETTER, TO_WISHES, FROM_WISHES):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER is_wish AFTER INSERT OR DELETE ON call_unwanted"
        " FOR EACH ROW EXECUTE FUNCTION call_unwanted_is_wish()"
    )
    op.execute(
        "CREATE TRIGGER is_unwanted AFTER INSERT ON contact_wish FOR EACH ROW"
        " WHEN (NEW.number IS NOT NULL AND NEW.channel IN ('', 'call'))"
        " EXECUTE FUNCTION contact_wish_is_unwanted()"
    )
    op.create_foreign_key(
        op.f("fk_contact_wish_appeal_id_appeal"),
        "contact_wish",
        "appeal",
        ["appeal_id"],
        ["id"],
        postgresql_not_valid=True,
    )
