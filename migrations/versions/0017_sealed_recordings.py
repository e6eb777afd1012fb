"""Recordings are sealed: what they are sealed to, and what is in them."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column(
        "recording",
        sa.Column(
            "audio_sha256",
            sa.Text(),
            comment="of the audio file in it, as it is opened and given out",
        ),
    )
    op.add_column(
        "recording",
        sa.Column("audio_bytes", sa.BigInteger(), comment="size of that audio file"),
    )
    op.add_column(
        "recording",
        sa.Column(
            "sealed_to",
            sa.Text(),
            comment="the center's public key that it was sealed to (age1...)",
        ),
    )
