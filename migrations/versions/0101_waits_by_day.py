"""Figures of days read when calls waited and were answered, and nothing else of their events."""

from callcenter.platform.storage.migration_steps import build_index

revision = "0101"
down_revision = "0100"


def upgrade() -> None:
    build_index(
        "ix_appeal_event_waits",
        "appeal_event",
        ["at"],
        postgresql_include=["appeal_id", "kind", "seq"],
        postgresql_where="kind IN ('waiting', 'connected')",
    )
