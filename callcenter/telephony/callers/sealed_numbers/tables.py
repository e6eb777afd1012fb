"""Tables of sealed numbers: the number itself, and requests to open it."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    Uuid,
)

from callcenter.platform.identity.approvals import approval_columns
from callcenter.platform.storage.metadata import metadata

sealed_number = Table(
    "sealed_number",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="age: the withheld number of the caller"),
    Column("basis", Text, nullable=False, comment="the legal basis that was set then"),
    Column("until", DateTime(timezone=True), nullable=False, comment="erased then"),
    Index("ix_sealed_number_until", "until"),
)

number_opening = Table(
    "number_opening",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    *approval_columns("opened"),
    Column("opened_by", Text, comment="user:NAME, one of the two"),
    Column("opened_at", DateTime(timezone=True), comment="when it was shown, once"),
    CheckConstraint("(state = 'opened') = (opened_by IS NOT NULL)", name="opened"),
    Index("uq_number_opening_asked", "appeal_id", unique=True, postgresql_where="state = 'asked'"),
    Index("ix_number_opening_appeal_id", "appeal_id"),
)
