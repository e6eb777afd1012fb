"""Rows that were there are checked against what 0074 to 0076 demand; nobody waits meanwhile."""

from alembic import op

revision = "0084"
down_revision = "0083"

CONSTRAINTS = {
    "ck_recording_state": "recording",
    "ck_appeal_number": "appeal",
    "fk_contact_wish_appeal_id_appeal": "contact_wish",
}


def upgrade() -> None:
    for name, table in CONSTRAINTS.items():
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
