"""Indexes by which the page of the audit log finds the entries of a person, and of an action."""

from callcenter.platform.storage.migration_steps import build_index

revision = "0099"
down_revision = "0098"


def upgrade() -> None:
    build_index("ix_audit_entry_who", "audit_entry", ["who", "id"])
    build_index("ix_audit_entry_action", "audit_entry", ["action", "id"])
