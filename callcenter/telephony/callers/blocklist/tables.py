"""Table of blocked numbers. Past blocks stay for a while."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Table, Text, Uuid

from callcenter.platform.storage.metadata import metadata

blocked_number = Table(
    "blocked_number",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, comment="E.164"),
    Column("until", DateTime(timezone=True), nullable=False, comment="calls come through again"),
    Column("reason", Text, nullable=False, comment="see BlockReason"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column(
        "lifted_at", DateTime(timezone=True), comment="ended before its time, or by a newer one"
    ),
    CheckConstraint("number ~ '^[+][0-9]{7,15}$'", name="number"),
    CheckConstraint("until > created_at", name="until"),
    Index("uq_blocked_number_number", "number", unique=True, postgresql_where="lifted_at IS NULL"),
    Index("ix_blocked_number_created_at", "created_at"),
)
