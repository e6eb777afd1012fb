"""The audit log: append-only rows, enforced by a trigger."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.platform.storage.metadata import metadata

#: Of an entry that raises an alert, or covers some: an acknowledgement. It has their ids.
IS_OF_ALERTS = "detail ?| ARRAY['raises', 'covers']"

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3: no gaps"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("who", Text, nullable=False, comment="user:NAME, system:NAME or anonymous"),
    Column("action", Text, nullable=False, comment="see Action"),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("from_address", Text),
    Column(
        "hash", LargeBinary, nullable=False, comment="SHA-256 of the hash before and this entry"
    ),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    Index("ix_audit_entry_subject", "subject", "action", "at"),
    Index("ix_audit_entry_at", "at"),
    Index("ix_audit_entry_who", "who", "id"),
    Index("ix_audit_entry_action", "action", "id"),
    Index("ix_audit_entry_alerts", "at", postgresql_where=IS_OF_ALERTS),
)
