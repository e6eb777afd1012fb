"""The authority is told by mail that something waits for it."""

import sqlalchemy as sa
from alembic import op

revision = "0102"
down_revision = "0101"


def upgrade() -> None:
    op.create_table(
        "authority_address",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False, comment="personal data: where mail goes"),
        sa.Column("language", sa.Text(), nullable=False, comment="of the mail: kk, ru or en"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_authority_address_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_authority_address")),
    )
    op.create_table(
        "demand_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("demand_id", sa.Uuid(), nullable=False),
        sa.Column(
            "matter", sa.Text(), nullable=False, comment="see DemandMatter; ready also with ordinal"
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False, comment="who is told"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at", sa.DateTime(timezone=True), comment="the server took it on, or refused it"
        ),
        sa.ForeignKeyConstraint(
            ["demand_id"], ["demand.id"], name=op.f("fk_demand_notice_demand_id_demand")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f("fk_demand_notice_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demand_notice")),
        sa.UniqueConstraint(
            "demand_id", "matter", "user_id", name=op.f("uq_demand_notice_demand_id")
        ),
    )
    op.create_index(
        "ix_demand_notice_waiting",
        "demand_notice",
        ["created_at"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
