"""Messages of the portal wait, sealed, for intake; the portal's role calls three functions."""

import sqlalchemy as sa
from alembic import op

revision = "0120"
down_revision = "0117"


def upgrade() -> None:
    op.create_table(
        "portal_message",
        sa.Column("id", sa.Uuid(), nullable=False, comment="of its form and what it says: a hash"),
        sa.Column("form", sa.Uuid(), nullable=False, comment="that it was sent by: a hash"),
        sa.Column(
            "year",
            sa.SmallInteger(),
            nullable=False,
            comment="of the number that its appeal gets, two digits",
        ),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="of that number"),
        sa.Column("urgent", sa.Boolean(), nullable=False, comment="the writer is in danger now"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="what was written, for intake; none: it is taken",
        ),
        sa.Column(
            "retry_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="later than this: it could not be taken",
        ),
        sa.Column("receipt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "proof_hash", sa.LargeBinary(), nullable=True, comment="of the secret of the receipt"
        ),
        sa.Column(
            "recipient", sa.Text(), nullable=True, comment="public key of what is for the writer"
        ),
        sa.Column(
            "locked",
            sa.LargeBinary(),
            nullable=True,
            comment="its private key, encrypted for the secret of the receipt",
        ),
        sa.Column(
            "sealed_copy", sa.LargeBinary(), nullable=True, comment="of the writer, for that key"
        ),
        sa.Column("appeal_id", sa.Uuid(), nullable=True, comment="none: not taken yet"),
        sa.CheckConstraint(
            "(sealed IS NULL) = (appeal_id IS NOT NULL)", name=op.f("ck_portal_message_taken")
        ),
        sa.CheckConstraint(
            "sequence BETWEEN 1 AND 99999999", name=op.f("ck_portal_message_sequence")
        ),
        sa.CheckConstraint(
            "length(sealed) <= 400000 AND length(sealed_copy) <= 400000"
            " AND length(locked) <= 400 AND length(recipient) <= 100",
            name=op.f("ck_portal_message_sizes"),
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_portal_message_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portal_message")),
    )
    op.create_index("ix_portal_message_form", "portal_message", ["form"])
    op.create_index("ix_portal_message_number", "portal_message", ["year", "sequence"])
    op.create_index("ix_portal_message_appeal_id", "portal_message", ["appeal_id"])
    op.create_index(
        "ix_portal_message_waiting",
        "portal_message",
        [sa.text("(retry_at IS NOT NULL)"), sa.text("urgent DESC"), "retry_at", "received_at"],
        postgresql_where=sa.text("sealed IS NOT NULL"),
    )
    # They run as the owner. Names that the portal's role gives to tables of its own (pg_temp) are
    # found last.
    op.execute(
        """
        CREATE FUNCTION portal_receive(
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
        CREATE FUNCTION portal_give_receipt(
            of_message uuid, proof bytea, to_key text, locked_key bytea, for_writer bytea
        ) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        BEGIN
            UPDATE portal_message SET receipt_at = now(), proof_hash = sha256(proof),
                recipient = to_key, locked = locked_key, sealed_copy = for_writer
            WHERE id = of_message AND receipt_at IS NULL;
            RETURN EXISTS (
                SELECT FROM portal_message WHERE id = of_message AND proof_hash = sha256(proof)
            );
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION portal_read_copies(of_year smallint, of_sequence integer, proof bytea)
        RETURNS TABLE (
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
            ORDER BY received_at
        $$
        """
    )
    # The worker calls it. It does nothing where the owner may not end sessions of others.
    op.execute(
        """
        CREATE FUNCTION portal_end_sessions(older interval) RETURNS bigint
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity AS session
            WHERE usename = 'callcenter_portal' AND datname = current_database()
            AND pg_has_role('pg_signal_backend', 'USAGE') AND (
                xact_start < clock_timestamp() - older
                OR state = 'idle' AND state_change < clock_timestamp() - older AND EXISTS (
                    SELECT FROM pg_locks
                    WHERE pg_locks.pid = session.pid AND locktype = 'advisory'
                )
            )
        $$
        """
    )
    # Rights on them are the room's to offer; nobody has any before.
    for function in (
        "portal_receive(uuid, uuid, boolean, bytea)",
        "portal_give_receipt(uuid, bytea, text, bytea, bytea)",
        "portal_read_copies(smallint, integer, bytea)",
        "portal_end_sessions(interval)",
    ):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
