"""The worker reads each minute which alerts calls raised, and nothing else of their events."""

from callcenter.platform.storage.migration_steps import build_index

revision = "0104"
down_revision = "0103"


def upgrade() -> None:
    build_index(
        "ix_appeal_event_alerted", "appeal_event", ["at"], postgresql_where="kind = 'alerted'"
    )
