"""Oral contacts about an appeal are noted."""

import sqlalchemy as sa
from alembic import op

revision = "0094"
down_revision = "0093"


def upgrade() -> None:
    op.create_table(
        "oral_contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False, comment="see LetterParty"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            comment="with whom and what was said, encrypted; none: erased",
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_oral_contact_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oral_contact")),
    )
    op.create_index("ix_oral_contact_appeal_id", "oral_contact", ["appeal_id"])
