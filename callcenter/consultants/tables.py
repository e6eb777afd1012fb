"""Consultants: who may be offered a call."""

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, DateTime, Table, Text, Uuid, func

from callcenter.storage.metadata import metadata

consultant = Table(
    "consultant",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("extension", Text, nullable=False, unique=True, comment="SIP user name: 3-6 digits"),
    Column("name", Text, nullable=False),
    Column("languages", ARRAY(Text), nullable=False, comment="kk, ru: both or one"),
    Column("digest", Text, nullable=False, comment="MD5(extension:asterisk:password), RFC 2617"),
    Column("active", Boolean, nullable=False, server_default="true"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("languages <@ ARRAY['kk', 'ru'] AND languages <> '{}'", name="languages"),
    CheckConstraint("extension ~ '^[0-9]{3,6}$'", name="extension"),
)
