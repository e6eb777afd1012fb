"""How far the switch's ledger was read, and the calls in it that are not accounted for yet."""

from sqlalchemy import BigInteger, Column, DateTime, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.storage.metadata import metadata

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
    Column("call", JSONB, nullable=False, comment="see ledger.calls.LedgerCall"),
    Column("over_at", DateTime(timezone=True), comment="when we learned that it is over"),
)
