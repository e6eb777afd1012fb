"""Urgent notifications of state bodies, with every step (R10, R11, R21)."""

import sqlalchemy as sa
from alembic import op

revision = "0121"
down_revision = "0120"


def upgrade() -> None:
    op.create_table(
        "urgent_notification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="see NotificationState"),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME, who began it"),
        sa.Column(
            "ordered_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="a call; none: that is over",
        ),
        sa.Column(
            "escalated",
            sa.SmallInteger(),
            nullable=False,
            comment="levels so far, by the clock",
        ),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('calling', 'taken')) = (ended_at IS NULL)",
            name=op.f("ck_urgent_notification_ended"),
        ),
        sa.CheckConstraint(
            "taken_at IS NOT NULL OR state IN ('calling', 'withdrawn')",
            name=op.f("ck_urgent_notification_taken"),
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_urgent_notification_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(
            ["body"], ["body.code"], name=op.f("fk_urgent_notification_body_body")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_urgent_notification")),
    )
    op.create_index(
        "ix_urgent_notification_appeal_id", "urgent_notification", ["appeal_id", "begun_at"]
    )
    op.create_index(
        "ix_urgent_notification_open",
        "urgent_notification",
        ["begun_at"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "urgent_notification_step",
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="1 is the first"),
        sa.Column("step", sa.Text(), nullable=False, comment="see NotificationStep"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "author",
            sa.Text(),
            nullable=False,
            comment="user:NAME, or system:urgent_notifications",
        ),
        sa.Column(
            "called",
            sa.Text(),
            nullable=True,
            comment="the first number of a call: of the body, E.164 or short",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="name, post and reason, encrypted; none: erased, or none",
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["urgent_notification.id"],
            name=op.f("fk_urgent_notification_step_notification_id_urgent_notification"),
        ),
        sa.PrimaryKeyConstraint(
            "notification_id", "ordinal", name=op.f("pk_urgent_notification_step")
        ),
    )
