"""Bodies that are named to callers stand on the record of the appeal (R16)."""

import sqlalchemy as sa
from alembic import op

revision = "0109"
down_revision = "0108"


def upgrade() -> None:
    op.create_table(
        "body_referral",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "said",
            sa.Text(),
            nullable=False,
            comment="as it was read out: body, hours, contact",
        ),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_body_referral_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(["body"], ["body.code"], name=op.f("fk_body_referral_body_body")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_body_referral")),
    )
    op.create_index("ix_body_referral_appeal_id", "body_referral", ["appeal_id", "at"])
