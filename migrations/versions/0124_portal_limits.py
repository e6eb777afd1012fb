"""Of a form of the portal so many messages a day are taken, and the newest are read at once.

Nothing bounded either: all messages of one receipt were read, opened and shown together. And who
leaves quickly locks the message too, which intake skips meanwhile: it is told of it again.
"""

from alembic import op

revision = "0124"
down_revision = "0123"


def upgrade() -> None:
    op.execute(
        """
        CREATE OR REPLACE FUNCTION portal_receive(
            of_form uuid, of_message uuid, is_urgent boolean, for_intake bytea
        ) RETURNS TABLE (number_year smallint, number_sequence integer)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        BEGIN
            -- Who sends the same form at once waits, and gets the same number.
            PERFORM pg_advisory_xact_lock(hashtextextended('portal ' || of_form, 0));
            -- What is erased is over: who sends it again has a new matter. Who sends again that
            -- they are in danger is to be read again.
            IF EXISTS (
                SELECT FROM portal_message
                WHERE id = of_message AND (
                    receipt_at IS NOT NULL AND proof_hash IS NULL
                    OR urgent AND appeal_id IS NOT NULL
                    AND received_at < now() - interval '1 minute'
                )
            ) THEN
                RETURN;
            END IF;
            -- What is there already is sent again to learn its number: it is no further one. A row
            -- without a number says that no further one is taken.
            IF NOT EXISTS (SELECT FROM portal_message WHERE id = of_message) AND (
                SELECT count(*) FROM portal_message
                WHERE form = of_form AND received_at > now() - interval '1 day'
            ) >= 100 THEN
                RETURN NEXT;
                RETURN;
            END IF;
            SELECT year, sequence INTO number_year, number_sequence FROM portal_message
            WHERE form = of_form AND (receipt_at IS NULL OR proof_hash IS NOT NULL)
            ORDER BY received_at DESC LIMIT 1;
            IF NOT FOUND THEN
                INSERT INTO appeal_counter AS counter (year, last)
                VALUES (extract(year FROM now() AT TIME ZONE 'Asia/Almaty')::integer % 100, 1)
                ON CONFLICT (year) DO UPDATE SET last = counter.last + 1
                RETURNING counter.year, counter.last INTO number_year, number_sequence;
            END IF;
            INSERT INTO portal_message (id, form, year, sequence, urgent, received_at, sealed)
            VALUES (
                of_message, of_form, number_year, number_sequence, is_urgent, now(), for_intake
            )
            ON CONFLICT (id) DO NOTHING;
            IF FOUND THEN
                NOTIFY portal_message;
            END IF;
            RETURN NEXT;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION portal_read_newest_copies(
            of_year smallint, of_sequence integer, proof bytea, older_than uuid
        ) RETURNS TABLE (
            of_message uuid, sent_at timestamptz, locked_key bytea, for_writer bytea,
            is_taken boolean, stage text, registered_on date, due_on date
        )
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            -- The stages that callers hear too, as they hear them, and nothing else of the record.
            -- A contact on the telephone was a conversation; nobody works on an unread one.
            SELECT portal_message.id, received_at, locked, sealed_copy,
                portal_message.appeal_id IS NOT NULL,
                CASE
                    WHEN record.stage IN ('no_request', 'joined') THEN NULL
                    WHEN record.stage <> 'contact' THEN record.stage
                    WHEN portal_message.appeal_id IS NOT NULL AND NOT EXISTS (
                        SELECT FROM written_contact
                        WHERE written_contact.appeal_id = portal_message.appeal_id
                            AND done_at IS NULL AND read_at IS NULL
                    ) THEN 'in_work'
                END,
                record.registered_on, record.due_on
            FROM portal_message LEFT JOIN record USING (appeal_id)
            WHERE year = of_year AND sequence = of_sequence AND proof_hash = sha256(proof)
                AND (older_than IS NULL OR received_at < (
                    SELECT received_at FROM portal_message
                    WHERE id = older_than AND proof_hash = sha256(proof)
                ))
            -- Fifty are shown; one more says that there are older ones.
            ORDER BY received_at DESC LIMIT 51
        $$
        """
    )
    op.execute(
        "REVOKE ALL ON FUNCTION portal_read_newest_copies(smallint, integer, bytea, uuid)"
        " FROM PUBLIC"
    )
    # Of the version before, which reads until it is replaced: bounded too.
    op.execute(
        """
        CREATE OR REPLACE FUNCTION portal_read_copies(
            of_year smallint, of_sequence integer, proof bytea
        ) RETURNS TABLE (
            of_message uuid, sent_at timestamptz, locked_key bytea, for_writer bytea,
            is_taken boolean, stage text, registered_on date, due_on date
        )
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            SELECT * FROM portal_read_newest_copies(of_year, of_sequence, proof, NULL)
            ORDER BY 2
        $$
        """
    )
    op.execute(
        """
        CREATE OR REPLACE FUNCTION portal_note_exit(of_written uuid) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        BEGIN
            -- A form, or a message that its receipt has opened; once a minute says enough.
            UPDATE portal_message SET left_at = now()
            WHERE (form = of_written OR id = of_written)
                AND NOT (receipt_at IS NOT NULL AND proof_hash IS NULL) -- it is erased
                AND (left_at IS NULL OR left_at < now() - interval '1 minute');
            IF FOUND THEN
                NOTIFY portal_message;
            END IF;
        END $$
        """
    )
