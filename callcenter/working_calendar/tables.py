"""Table of the years of the working calendar that the center entered."""

from sqlalchemy import Column, DateTime, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.platform.storage.metadata import metadata

calendar_year = Table(
    "calendar_year",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="the newest counts"),
    Column(
        "off", JSONB, nullable=False, comment="days off but weekends: date, kind (DayKind), kk, ru"
    ),
    Column("worked", JSONB, nullable=False, comment="dates of weekends that are worked"),
    Column("author", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
