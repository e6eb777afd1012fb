"""The authority's written demands (R17)."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "demand",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False, comment="ours: year and sequence"),
        sa.Column("state", sa.Text(), nullable=False, comment="see demands.states.State"),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="of the last step: what a person saw"
        ),
        sa.Column(
            "sender_kk",
            sa.Text(),
            nullable=False,
            comment="the body's name when it wrote the letter",
        ),
        sa.Column("sender_ru", sa.Text(), nullable=False),
        sa.Column(
            "from_authority", sa.Boolean(), nullable=False, comment="the authorised body of R17"
        ),
        sa.Column("letter_number", sa.Text(), nullable=False),
        sa.Column("letter_date", sa.Date(), nullable=False),
        sa.Column(
            "ground", sa.Text(), nullable=False, comment="the legal ground that the letter names"
        ),
        sa.Column("signatory", sa.Text(), nullable=False, comment="who signed the letter"),
        sa.Column("came_by", sa.Text(), nullable=False, comment="paper, electronic or pages"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "appeal_number", sa.Text(), nullable=True, comment="what is demanded: ten digits"
        ),
        sa.Column(
            "caller_number",
            sa.Text(),
            nullable=True,
            comment="personal data: E.164, or a short number",
        ),
        sa.Column("extension", sa.Text(), nullable=True, comment="of the consultant"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "unit", sa.Text(), nullable=False, comment="of the time it sets, see demands.terms.Unit"
        ),
        sa.Column("count", sa.SmallInteger(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("warn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "warned_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the alarm before due_at was raised",
        ),
        sa.Column(
            "overdue_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the last alarm after it was",
        ),
        sa.Column(
            "hand_over_by",
            sa.Text(),
            nullable=False,
            comment="download or carrier, as the letter asks",
        ),
        sa.Column("refusal", sa.Text(), nullable=True, comment="see demands.states.Ground"),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME, who registered it"),
        sa.CheckConstraint(
            "(state = 'refused') = (refusal IS NOT NULL)", name=op.f("ck_demand_refusal")
        ),
        sa.CheckConstraint(
            "came_by IN ('paper', 'electronic', 'pages')", name=op.f("ck_demand_came_by")
        ),
        sa.CheckConstraint(
            "hand_over_by IN ('download', 'carrier')", name=op.f("ck_demand_hand_over_by")
        ),
        sa.CheckConstraint("(since IS NULL) = (until IS NULL)", name=op.f("ck_demand_range")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demand")),
        sa.UniqueConstraint("number", name=op.f("uq_demand_number")),
    )
    op.create_index(
        "ix_demand_due_at",
        "demand",
        ["due_at"],
        unique=False,
        postgresql_where="state IN ('checked', 'found', 'registered', 'released')",
    )
    op.create_index("ix_demand_registered_at", "demand", ["registered_at"], unique=False)
    op.create_table(
        "demand_counter",
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="two digits, by Asia/Almaty"),
        sa.Column(
            "last", sa.Integer(), nullable=False, comment="last sequence number given in this year"
        ),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_demand_counter")),
    )
    op.create_table(
        "demand_scan",
        sa.Column("demand_id", sa.Uuid(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="hexadecimal"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="the scan of the letter"),
        sa.ForeignKeyConstraint(
            ["demand_id"], ["demand.id"], name=op.f("fk_demand_scan_demand_id_demand")
        ),
        sa.PrimaryKeyConstraint("demand_id", name=op.f("pk_demand_scan")),
    )
    op.create_table(
        "demand_step",
        sa.Column("demand_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="1 is the registration"),
        sa.Column("step", sa.Text(), nullable=False, comment="see demands.states.Step"),
        sa.Column("state", sa.Text(), nullable=False, comment="after it"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["demand_id"], ["demand.id"], name=op.f("fk_demand_step_demand_id_demand")
        ),
        sa.PrimaryKeyConstraint("demand_id", "ordinal", name=op.f("pk_demand_step")),
    )
    op.create_table(
        "demand_recording",
        sa.Column("demand_id", sa.Uuid(), nullable=False),
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column(
            "reasons", sa.ARRAY(sa.Text()), nullable=False, comment="see demands.matching.Reason"
        ),
        sa.Column("chosen", sa.Boolean(), nullable=False, comment="to be handed over"),
        sa.ForeignKeyConstraint(
            ["demand_id"], ["demand.id"], name=op.f("fk_demand_recording_demand_id_demand")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recording.id"],
            name=op.f("fk_demand_recording_recording_id_recording"),
        ),
        sa.PrimaryKeyConstraint("demand_id", "recording_id", name=op.f("pk_demand_recording")),
    )
    op.create_index(
        "ix_demand_recording_recording_id", "demand_recording", ["recording_id"], unique=False
    )
