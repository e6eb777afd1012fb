"""Written contacts stand in a queue until somebody has read them."""

import sqlalchemy as sa
from alembic import op

revision = "0113"
down_revision = "0112"


def upgrade() -> None:
    op.create_table(
        "written_contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "language",
            sa.Text(),
            nullable=False,
            comment="in which the reader is to write: kk or ru",
        ),
        sa.Column("skill", sa.Text(), nullable=True, comment="that the reader is to have"),
        sa.Column(
            "urgent",
            sa.Boolean(),
            nullable=False,
            comment="the writer is in danger: it goes first",
        ),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=False, comment="until when it is read"
        ),
        sa.Column(
            "holder",
            sa.Text(),
            nullable=True,
            comment="user to whom it is offered, or who has it in hand",
        ),
        sa.Column(
            "offered_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="then it goes back, unless read",
        ),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="by its holder; none: not, or not all",
        ),
        sa.Column(
            "returns", sa.SmallInteger(), server_default="0", nullable=False, comment="to the queue"
        ),
        sa.Column(
            "done_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when nobody had it in hand any more",
        ),
        sa.Column("done_by", sa.Text(), nullable=True, comment="user:NAME"),
        sa.CheckConstraint("language IN ('kk', 'ru')", name=op.f("ck_written_contact_language")),
        sa.CheckConstraint(
            "read_at IS NULL OR holder IS NOT NULL", name=op.f("ck_written_contact_holder")
        ),
        sa.CheckConstraint(
            "(done_at IS NULL) = (done_by IS NULL)", name=op.f("ck_written_contact_done")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_written_contact_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(
            ["skill"], ["skill.code"], name=op.f("fk_written_contact_skill_skill")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_written_contact")),
    )
    op.create_index(
        "uq_written_contact_open",
        "written_contact",
        ["appeal_id"],
        unique=True,
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index(
        "ix_written_contact_unread",
        "written_contact",
        [sa.text("urgent DESC"), "due_at"],
        postgresql_where=sa.text("done_at IS NULL AND read_at IS NULL"),
    )
    op.create_index(
        "ix_written_contact_holder",
        "written_contact",
        ["holder"],
        postgresql_where=sa.text("done_at IS NULL"),
    )
