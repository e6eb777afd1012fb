"""A recording may be empty: neither side sent a packet (decision 74).

Rows that are there are checked by 0084, which keeps nobody from writing.
"""

from alembic import op

revision = "0074"
down_revision = "0073"

STATES = "'recording', 'closed', 'stored', 'failed', 'empty', 'erased'"
COMMENTS = {
    "state": "recording, closed, stored, failed, empty or erased",
    "fault": "why it failed, or what was left out, for the records officer",
}


def upgrade() -> None:
    op.drop_constraint(op.f("ck_recording_state"), "recording")
    op.create_check_constraint(
        op.f("ck_recording_state"), "recording", f"state IN ({STATES})", postgresql_not_valid=True
    )
    for column, comment in COMMENTS.items():
        op.alter_column("recording", column, comment=comment)
