"""The worker reads each minute which alerts were raised and acknowledged, by the audit log."""

from callcenter.platform.storage.migration_steps import build_index

revision = "0105"
down_revision = "0104"


def upgrade() -> None:
    build_index(
        "ix_audit_entry_alerts",
        "audit_entry",
        ["at"],
        postgresql_where="detail ?| ARRAY['raises', 'covers']",
    )
