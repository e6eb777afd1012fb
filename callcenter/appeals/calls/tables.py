"""Tables of appeals (R12, R25): a row for every contact, its events, and its calls."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.platform.storage.metadata import metadata

appeal = Table(
    "appeal",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True, comment="ten or eleven digits"),
    Column("channel", Text, nullable=False, comment="how it came: call, outgoing"),
    Column("call_id", Text, unique=True, comment="the switch's unique id of the caller's channel"),
    Column("language", Text, comment="kk or ru, once chosen"),
    Column("caller_kind", Text, nullable=False, comment="number, short, withheld or unreadable"),
    Column("caller_number", Text, comment="E.164, or the short number"),
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), comment="who talked last"),
    Column(
        "urgent",
        ARRAY(Text),
        nullable=False,
        server_default="{}",
        comment="why, in the order of telling: silent, danger",
    ),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", Text, comment="exactly one, see Outcome; null while the call lives"),
    Column(
        "written",
        Boolean,
        nullable=False,
        server_default="false",
        comment="whether it has a record; by a trigger of that table",
    ),
    CheckConstraint("number ~ '^[0-9]{10,11}$'", name="number"),
    CheckConstraint("language IN ('kk', 'ru')", name="language"),
    CheckConstraint("urgent <@ ARRAY['silent', 'danger']", name="urgent"),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="outcome"),
    Index("ix_appeal_received_at", "received_at"),
    Index("ix_appeal_channel", "channel", "received_at"),
    Index("ix_appeal_caller_number", "caller_number", "received_at"),
    Index("ix_appeal_lost", "ended_at", postgresql_where="outcome = 'lost_to_a_fault'"),
    Index(
        "ix_appeal_open",
        "ended_at",
        postgresql_where="urgent <> '{}' OR outcome = 'lost_to_a_fault'",
    ),
    Index("ix_appeal_unwritten", "received_at", "id", postgresql_where="NOT written"),
    Index("ix_appeal_live", "received_at", postgresql_where="outcome IS NULL"),
)

#: Of an event by which supervisors were alerted.
IS_ALERT = "kind = 'alerted'"

appeal_event = Table(
    "appeal_event",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False, comment="order within the call: writing is repeatable"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False, comment="see CallEvent"),
    Column("detail", JSONB, nullable=False),
    UniqueConstraint("appeal_id", "seq"),
    Index("ix_appeal_event_nobody_speaks", "at", postgresql_where="kind = 'nobody_speaks'"),
    Index(
        "ix_appeal_event_waits",
        "at",
        postgresql_include=["appeal_id", "kind", "seq"],
        postgresql_where="kind IN ('waiting', 'connected')",
    ),
    Index("ix_appeal_event_other_language", "at", postgresql_where="kind = 'other_language'"),
    Index("ix_appeal_event_alerted", "at", postgresql_where=IS_ALERT),
)

outgoing_call = Table(
    "outgoing_call",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False, comment="1 is the appeal's first"),
    Column("number", Text, nullable=False, comment="E.164, or a short number; empty: masked"),
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), comment="who called"),
    Column("call_id", Text, nullable=False, comment="the switch's id of a leg that lives as long"),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", Text, comment="exactly one, see Outcome; null while the call lives"),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="outcome"),
    UniqueConstraint("appeal_id", "ordinal"),
    Index("ix_outgoing_call_number", "number", "began_at"),
    Index("ix_outgoing_call_consultant_id", "consultant_id", "began_at"),
    Index("ix_outgoing_call_live", "began_at", postgresql_where="outcome IS NULL"),
)

#: Of the version before, which reads and writes it during an upgrade; see `contact_wish`.
call_unwanted = Table(
    "call_unwanted",
    metadata,
    Column("number", Text, primary_key=True, comment="E.164"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("asked_at", DateTime(timezone=True), nullable=False),
)

appeal_counter = Table(
    "appeal_counter",
    metadata,
    Column("year", SmallInteger, primary_key=True, comment="two digits, by Asia/Almaty"),
    Column("last", Integer, nullable=False, comment="last sequence number given in this year"),
)
