"""The portal notes that its writer left quickly, and says how an appeal stands: two functions."""

import sqlalchemy as sa
from alembic import op

revision = "0122"
down_revision = "0121"


def upgrade() -> None:
    op.add_column(
        "portal_message",
        sa.Column(
            "left_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its writer left quickly, the last time",
        ),
    )
    # As those of migration 0120: as the owner, who finds our names before any of the caller's.
    op.execute(
        """
        CREATE FUNCTION portal_note_exit(of_written uuid) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            -- A form, or a message that its receipt has opened; once a minute says enough.
            UPDATE portal_message SET left_at = now()
            WHERE (form = of_written OR id = of_written)
                AND NOT (receipt_at IS NOT NULL AND proof_hash IS NULL) -- it is erased
                AND (left_at IS NULL OR left_at < now() - interval '1 minute')
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION portal_read_status(of_year smallint, of_sequence integer, proof bytea)
        RETURNS TABLE (of_message uuid, stage text, registered_on date, due_on date)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
            -- The stages that callers hear too, as they hear them; nothing else of the record.
            SELECT portal_message.id,
                CASE WHEN coalesce(record.stage, 'contact') = 'contact' THEN 'in_work'
                    WHEN record.stage NOT IN ('no_request', 'joined') THEN record.stage END,
                record.registered_on, record.due_on
            FROM portal_message LEFT JOIN record USING (appeal_id)
            WHERE year = of_year AND sequence = of_sequence AND proof_hash = sha256(proof)
                AND portal_message.appeal_id IS NOT NULL
        $$
        """
    )
    for function in ("portal_note_exit(uuid)", "portal_read_status(smallint, integer, bytea)"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
