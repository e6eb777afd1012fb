"""The notes beside backups read each minute what was closed as no request, and nothing else."""

from callcenter.platform.storage.migration_steps import build_index

revision = "0103"
down_revision = "0102"


def upgrade() -> None:
    build_index(
        "ix_record_move_no_request",
        "record_move",
        ["at"],
        postgresql_where="before = 'no_request' OR after = 'no_request'",
    )
