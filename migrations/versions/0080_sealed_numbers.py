"""Withheld numbers are kept, sealed, where a legal basis is set; two people open one."""

import sqlalchemy as sa
from alembic import op

revision = "0080"
down_revision = "0079"


def upgrade() -> None:
    op.create_table(
        "sealed_number",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="age: the withheld number of the caller",
        ),
        sa.Column("basis", sa.Text(), nullable=False, comment="the legal basis that was set then"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, comment="erased then"),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_sealed_number_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_sealed_number")),
    )
    op.create_index("ix_sealed_number_until", "sealed_number", ["until"])
    op.create_table(
        "number_opening",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="asked, approved, refused or opened"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), comment="user:NAME, another one"),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text(), comment="the reason of who decided"),
        sa.Column("opened_by", sa.Text(), comment="user:NAME, one of the two"),
        sa.Column("opened_at", sa.DateTime(timezone=True), comment="when it was shown, once"),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'opened')",
            name=op.f("ck_number_opening_state"),
        ),
        sa.CheckConstraint(
            "(state = 'asked') = (decided_by IS NULL)", name=op.f("ck_number_opening_decided")
        ),
        sa.CheckConstraint(
            "(state = 'opened') = (opened_by IS NOT NULL)", name=op.f("ck_number_opening_opened")
        ),
        sa.CheckConstraint("asked_by <> decided_by", name=op.f("ck_number_opening_two_persons")),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_number_opening_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_opening")),
    )
    op.create_index(
        "uq_number_opening_asked",
        "number_opening",
        ["appeal_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index("ix_number_opening_appeal_id", "number_opening", ["appeal_id"])
