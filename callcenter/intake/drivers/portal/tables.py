"""Tables of the driver of the portal: its messages, sealed until intake takes them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from callcenter.platform.storage.metadata import metadata

#: Written by functions of migrations 0120 and 0122 to 0124, which the role of the portal calls.
portal_message = Table(
    "portal_message",
    metadata,
    Column("id", Uuid, primary_key=True, comment="of its form and what it says: a hash"),
    Column("form", Uuid, nullable=False, comment="that it was sent by: a hash"),
    Column(
        "year",
        SmallInteger,
        nullable=False,
        comment="of the number that its appeal gets, two digits",
    ),
    Column("sequence", Integer, nullable=False, comment="of that number"),
    Column("urgent", Boolean, nullable=False, comment="the writer is in danger now"),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("sealed", LargeBinary, comment="what was written, for intake; none: it is taken"),
    Column("retry_at", DateTime(timezone=True), comment="later than this: it could not be taken"),
    Column("receipt_at", DateTime(timezone=True)),
    Column("proof_hash", LargeBinary, comment="of the secret of the receipt"),
    Column("recipient", Text, comment="public key of what is for the writer"),
    Column(
        "locked",
        LargeBinary,
        comment="its private key, encrypted for the secret of the receipt",
    ),
    Column("sealed_copy", LargeBinary, comment="of the writer, for that key"),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), comment="none: not taken yet"),
    Column(
        "left_at", DateTime(timezone=True), comment="when its writer left quickly, the last time"
    ),
    CheckConstraint("(sealed IS NULL) = (appeal_id IS NOT NULL)", name="taken"),
    CheckConstraint("sequence BETWEEN 1 AND 99999999", name="sequence"),
    CheckConstraint(
        "length(sealed) <= 400000 AND length(sealed_copy) <= 400000"
        " AND length(locked) <= 400 AND length(recipient) <= 100",
        name="sizes",
    ),
    Index("ix_portal_message_form", "form"),
    Index("ix_portal_message_number", "year", "sequence"),
    Index("ix_portal_message_appeal_id", "appeal_id"),
    Index(
        "ix_portal_message_waiting",
        text("(retry_at IS NOT NULL)"),
        text("urgent DESC"),
        "retry_at",
        "received_at",
        postgresql_where="sealed IS NOT NULL",
    ),
)
