"""The portal notes that its writer left quickly, by a function."""

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
    op.execute("REVOKE ALL ON FUNCTION portal_note_exit(uuid) FROM PUBLIC")
