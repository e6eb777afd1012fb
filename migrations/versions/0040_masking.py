"""Personal data are masked by rule and on request, by two people."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0047"


def upgrade() -> None:
    op.alter_column("outgoing_call", "number", comment="E.164, or a short number; empty: masked")
    op.alter_column(
        "promise", "number", comment="E.164, of a callback: personal data; empty: masked"
    )
    op.create_table(
        "masking",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), comment="whose data; none: it is a rule"),
        sa.Column("kind", sa.Text(), comment="of a rule, see register.masking.Ended"),
        sa.Column("days", sa.Integer(), comment="of a rule: so long after the end"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="asked, approved, refused or ended (a rule)"
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), comment="user:NAME, another one"),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text(), comment="the reason of who decided"),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'ended')", name=op.f("ck_masking_state")
        ),
        sa.CheckConstraint(
            "(state = 'asked') = (decided_by IS NULL)", name=op.f("ck_masking_decided")
        ),
        sa.CheckConstraint("asked_by <> decided_by", name=op.f("ck_masking_two_persons")),
        sa.CheckConstraint(
            "(appeal_id IS NULL) = (kind IS NOT NULL) AND (kind IS NULL) = (days IS NULL)",
            name=op.f("ck_masking_appeal_or_rule"),
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_masking_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_masking")),
    )
    op.create_index(
        "uq_masking_asked",
        "masking",
        ["appeal_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked' AND appeal_id IS NOT NULL"),
    )
    op.create_index(
        "uq_masking_rule",
        "masking",
        ["kind", "state"],
        unique=True,
        postgresql_where=sa.text("state IN ('asked', 'approved') AND kind IS NOT NULL"),
    )
    op.create_table(
        "masked",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("masking_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_masked_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(
            ["masking_id"], ["masking.id"], name=op.f("fk_masked_masking_id_masking")
        ),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_masked")),
    )
