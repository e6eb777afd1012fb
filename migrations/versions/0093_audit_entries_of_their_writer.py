"""Each process adds only audit entries that it may be the source of."""

from alembic import op

revision = "0093"
down_revision = "0092"


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION audit_entry_is_of_its_writer() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (CASE session_user
                WHEN 'callcenter_controller' THEN
                    NEW.who ~ '^system:' AND NEW.action ~ '^controller:'
                WHEN 'callcenter_worker' THEN
                    NEW.who ~ '^system:'
                    AND NEW.action ~ '^(web:|command:recording:adopted$)'
                WHEN 'callcenter_web' THEN
                    NEW.action ~ '^web:'
                ELSE true
            END) THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '% writes no audit entry % of %', session_user, NEW.action, NEW.who
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER of_its_writer BEFORE INSERT ON audit_entry"
        " FOR EACH ROW EXECUTE FUNCTION audit_entry_is_of_its_writer()"
    )
    op.execute("ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER of_its_writer")
