"""Table of wishes about contact: rows are added and never changed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    Time,
    Uuid,
)

from callcenter.platform.storage.metadata import metadata

contact_wish = Table(
    "contact_wish",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), comment="none: its appeal was masked"),
    Column("person", Text, nullable=False, comment="applicant, affected1, ...; empty: who called"),
    Column("number", Text, comment="E.164; none: all numbers of the person"),
    Column("channel", Text, nullable=False, comment="call, sms, email, letter; empty: all"),
    Column("allowed", Boolean, nullable=False),
    Column("hours_from", Time, comment="in Asia/Almaty, of what is allowed"),
    Column("hours_to", Time),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it was said"),
    Column("author", Text, nullable=False, comment="user:NAME who heard it; caller: by a key"),
    CheckConstraint("appeal_id IS NOT NULL OR number IS NOT NULL", name="about"),
    CheckConstraint(
        "(hours_from IS NULL) = (hours_to IS NULL) AND (allowed OR hours_from IS NULL)",
        name="hours",
    ),
    Index("ix_contact_wish_appeal_id", "appeal_id"),
    Index("ix_contact_wish_number", "number", postgresql_where="number IS NOT NULL"),
)
