"""The table of the garden."""

from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Table, Text, Uuid

from callcenter.appeals.calls.tables import appeal

tree = Table(
    "garden_tree",
    MetaData(),  # of its own: no migration of the product makes it
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey(appeal.c.id), nullable=False),
    Column("whom", Text, comment="personal: the name on it; none: erased"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("promised_at", DateTime(timezone=True), nullable=False),
    Column("planted_at", DateTime(timezone=True)),
)
