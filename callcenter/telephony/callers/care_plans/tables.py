"""Table of care plans for frequent callers. Ended plans stay for a while."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Table,
    Text,
    Uuid,
)

from callcenter.platform.storage.metadata import metadata

caller_plan = Table(
    "caller_plan",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, comment="E.164"),
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), nullable=False),
    Column("times", Text, nullable=False, comment="when the caller is to call, as agreed"),
    Column("note", Text, nullable=False, comment="for whoever answers: personal data"),
    Column("review_on", Date, nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, who made or reviewed it last"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), comment="ended, or followed by a newer one"),
    CheckConstraint("number ~ '^[+][0-9]{7,15}$'", name="number"),
    Index("uq_caller_plan_number", "number", unique=True, postgresql_where="ended_at IS NULL"),
)
