"""Table of callbacks and voicemail. Ended ones stay, with their result."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from callcenter.platform.storage.metadata import metadata

promise = Table(
    "promise",
    metadata,
    Column("id", Uuid, primary_key=True),  # of a message: that of its recording
    Column("kind", Text, nullable=False, comment="see CallbackKind"),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("number", Text, comment="E.164, of a callback: personal data; empty: masked"),
    Column("language", Text, nullable=False, comment="in which a consultant is to speak: kk or ru"),
    Column("urgent", Boolean, nullable=False),
    Column("arrived_at", DateTime(timezone=True), nullable=False, comment="the place it keeps"),
    Column("promised_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, comment="see CallbackState"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False, comment="of the next attempt"),
    Column("claimed_by", Text, comment="controller that takes care of it"),
    Column("claimed_until", DateTime(timezone=True), comment="then another controller may"),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_by", Text, comment="user:NAME, when a person ended it"),
    CheckConstraint("(kind = 'callback') = (number IS NOT NULL)", name="number"),
    CheckConstraint("language IN ('kk', 'ru')", name="language"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
    Index("ix_promise_due_at", "due_at", postgresql_where="state = 'open'"),
    Index("ix_promise_promised_at", "promised_at"),
    Index("uq_promise_number", "number", unique=True, postgresql_where="state = 'open'"),
)
