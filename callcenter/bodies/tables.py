"""Tables of the directory of state bodies, and of referrals to them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from callcenter.appeals.calls.tables import appeal
from callcenter.platform.storage.metadata import metadata

body = Table(
    "body",
    metadata,
    Column("code", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment="see BodyKind"),
    Column("parent", Text, ForeignKey("body.code")),
    Column("region", Text, nullable=False, comment="КАТО; empty: the country"),
    Column("district", Text, nullable=False, comment="КАТО; empty: all of the region"),
    Column("directions", ARRAY(Text), nullable=False, comment="of point 10 of the Rules"),
    Column("topics", ARRAY(Text), nullable=False),
    Column(
        "working_hours",
        Text,
        nullable=False,
        server_default="",
        comment="as OpenStreetMap writes opening hours, then days of its own; empty: unknown",
    ),
    Column("ended_on", Date, comment="the first day without it"),
    Column("version", Integer, nullable=False, comment="1 is the first; counts saved changes"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("district = '' OR region <> ''", name="district"),
)

body_name = Table(
    "body_name",
    metadata,
    Column("body", Text, ForeignKey("body.code"), primary_key=True),
    Column("valid_from", Date, primary_key=True, comment="until that of the next one"),
    Column("kk", Text, nullable=False),
    Column("ru", Text, nullable=False),
    Column("en", Text, nullable=False, comment="on pages of the staff"),
)

body_contact = Table(
    "body_contact",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("body", Text, ForeignKey("body.code"), nullable=False),
    Column("position", SmallInteger, nullable=False, comment="the order in which it is tried"),
    Column("method", Text, nullable=False, comment="see ContactMethod"),
    Column("value", Text, nullable=False, comment="how the body is reached, as it was typed"),
    Column("languages", ARRAY(Text), nullable=False, comment="kk, ru; none: nobody has said"),
    Column("hours", Text, nullable=False, comment="as OpenStreetMap writes them; empty: unknown"),
    Column("source", Text, nullable=False, comment="where it was found"),
    Column("verified_at", DateTime(timezone=True)),
    Column("verified_by", Text, comment="user:NAME"),
    Column("failed_at", DateTime(timezone=True), comment="until it is verified again"),
    Column("failure", Text, comment="what happened: it bounced, or is wrong"),
    CheckConstraint("(verified_at IS NULL) = (verified_by IS NULL)", name="verified"),
    CheckConstraint("(failed_at IS NULL) = (failure IS NULL)", name="failed"),
    Index("ix_body_contact_body", "body", "position"),
)

body_referral = Table(
    "body_referral",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey(appeal.c.id), nullable=False),
    Column("body", Text, ForeignKey("body.code"), nullable=False),
    Column("said", Text, nullable=False, comment="as it was read out: body, hours, contact"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_body_referral_appeal_id", "appeal_id", "at"),
)
