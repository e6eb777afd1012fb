"""How far the switch's ledger was read, and the calls in it that are not accounted for yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "ledger_position",
        sa.Column("ledger", sa.Text(), nullable=False, comment="path of the file"),
        sa.Column(
            "head",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the file's beginning, hexadecimal",
        ),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column(
            "written_ns",
            sa.BigInteger(),
            nullable=False,
            comment="time of the file when it was read",
        ),
        sa.PrimaryKeyConstraint("ledger", name=op.f("pk_ledger_position")),
    )
    op.create_table(
        "ledger_call",
        sa.Column("call_id", sa.Text(), nullable=False, comment="as in appeal.call_id"),
        sa.Column("call", JSONB(), nullable=False, comment="see ledger.calls.LedgerCall"),
        sa.Column(
            "over_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when we learned that it is over",
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_ledger_call")),
    )
