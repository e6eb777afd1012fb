"""Reasons of pauses have keys, so that a consultant gives one by dialling *12 and the key."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0036"

KEYS = {"lunch": 1, "training": 2, "recovery": 3, "supervision": 4, "technical": 5}


def upgrade() -> None:
    op.add_column(
        "pause_reason",
        sa.Column("key", sa.SmallInteger(), nullable=True, comment="dialled after *12"),
    )
    op.create_check_constraint(op.f("ck_pause_reason_key"), "pause_reason", "key BETWEEN 1 AND 9")
    op.create_unique_constraint(op.f("uq_pause_reason_key"), "pause_reason", ["key"])
    for code, key in KEYS.items():
        op.execute(
            sa.text("UPDATE pause_reason SET key = :key WHERE code = :code").bindparams(
                key=key, code=code
            )
        )
