"""Tables of reconciliation: the position in CEL, calls not accounted for, refused calls."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.platform.storage.metadata import metadata

ledger_position = Table(
    "ledger_position",
    metadata,
    Column("ledger", Text, primary_key=True, comment="path of the file"),
    Column("head", Text, nullable=False, comment="SHA-256 of the file's beginning, hexadecimal"),
    Column("bytes_read", BigInteger, nullable=False),
    Column("written_ns", BigInteger, nullable=False, comment="time of the file when it was read"),
)

ledger_call = Table(
    "ledger_call",
    metadata,
    Column("call_id", Text, primary_key=True, comment="as in appeal.call_id"),
    Column("call", JSONB, nullable=False, comment="see CelCall"),
    Column("over_at", DateTime(timezone=True), comment="when we learned that it is over"),
)

refused_call = Table(
    "refused_call",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True, comment="its beginning"),
    Column("trunk", Text, primary_key=True, comment="as its endpoint is named, or registered"),
    Column("status", SmallInteger, primary_key=True, autoincrement=False, comment="of SIP"),
    Column("calls", Integer, nullable=False, comment="that Asterisk refused without a channel"),
)
