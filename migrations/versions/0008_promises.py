"""What callers who did not wait were promised."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "promise",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="see promises.states.Kind"),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "number", sa.Text(), nullable=True, comment="E.164, of a callback: personal data"
        ),
        sa.Column(
            "language",
            sa.Text(),
            nullable=False,
            comment="in which a consultant is to speak: kk or ru",
        ),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column(
            "arrived_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the place it keeps",
        ),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="see promises.states.State"),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=False, comment="of the next attempt"
        ),
        sa.Column(
            "claimed_by", sa.Text(), nullable=True, comment="controller that takes care of it"
        ),
        sa.Column(
            "claimed_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="then another controller may",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "ended_by", sa.Text(), nullable=True, comment="user:NAME, when a person ended it"
        ),
        sa.CheckConstraint(
            "(kind = 'callback') = (number IS NOT NULL)", name=op.f("ck_promise_number")
        ),
        sa.CheckConstraint("language IN ('kk', 'ru')", name=op.f("ck_promise_language")),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f("ck_promise_ended")),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_promise_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promise")),
    )
    op.create_index(
        "ix_promise_due_at", "promise", ["due_at"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_index("ix_promise_promised_at", "promise", ["promised_at"])
    op.create_index(
        "uq_promise_number",
        "promise",
        ["number"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
