"""A message of the portal is told of again when it has its receipt.

Intake, which is told when it comes, skips one whose receipt is just being given, and looked again
after a minute.
"""

from alembic import op

revision = "0123"
down_revision = "0122"


def upgrade() -> None:
    op.execute(
        """
        CREATE OR REPLACE FUNCTION portal_give_receipt(
            of_message uuid, proof bytea, to_key text, locked_key bytea, for_writer bytea
        ) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        BEGIN
            UPDATE portal_message SET receipt_at = now(), proof_hash = sha256(proof),
                recipient = to_key, locked = locked_key, sealed_copy = for_writer
            WHERE id = of_message AND receipt_at IS NULL;
            IF FOUND THEN
                NOTIFY portal_message;
            END IF;
            RETURN EXISTS (
                SELECT FROM portal_message WHERE id = of_message AND proof_hash = sha256(proof)
            );
        END $$
        """
    )
