"""Letters and requests of appeals, and until when an answer to one of them is wanted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0068"
down_revision = "0071"


def upgrade() -> None:
    op.add_column(
        "record",
        sa.Column(
            "letter_due_on",
            sa.Date(),
            comment="the earliest day of an answer that a letter waits for",
        ),
    )
    op.create_index(
        "ix_record_letter_due",
        "record",
        ["letter_due_on"],
        postgresql_where=sa.text("letter_due_on IS NOT NULL"),
    )
    _make_letters()
    _make_changes()


def _make_letters() -> None:
    op.create_table(
        "record_letter",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="1 is the first; counts saved changes"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when it was entered"),
        sa.Column("direction", sa.Text(), nullable=False, comment="in or out"),
        sa.Column("kind", sa.Text(), nullable=False, comment="see register.letters.Kind"),
        sa.Column("party", sa.Text(), nullable=False, comment="see register.letters.Party"),
        sa.Column("number", sa.Text(), nullable=False, comment="its own, as it stands on it"),
        sa.Column("dated", sa.Date(), nullable=False),
        sa.Column("answer_due_on", sa.Date(), comment="until when an answer to it is wanted"),
        sa.Column("answers", sa.Uuid(), comment="the letter that it answers"),
        sa.Column("scan", sa.Uuid()),
        sa.Column("sealed", sa.LargeBinary(), comment="with whom and what it is about, encrypted"),
        sa.CheckConstraint("version >= 1", name=op.f("ck_record_letter_version")),
        sa.CheckConstraint("direction IN ('in', 'out')", name=op.f("ck_record_letter_direction")),
        sa.CheckConstraint("answers <> id", name=op.f("ck_record_letter_answers")),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["record.appeal_id"], name=op.f("fk_record_letter_appeal_id_record")
        ),
        sa.ForeignKeyConstraint(
            ["answers"], ["record_letter.id"], name=op.f("fk_record_letter_answers_record_letter")
        ),
        sa.ForeignKeyConstraint(
            ["scan"], ["record_attachment.id"], name=op.f("fk_record_letter_scan_record_attachment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_letter")),
    )
    op.create_index("ix_record_letter_appeal_id", "record_letter", ["appeal_id", "at", "id"])
    op.create_index(
        "ix_record_letter_answers",
        "record_letter",
        ["answers"],
        postgresql_where=sa.text("answers IS NOT NULL"),
    )


def _make_changes() -> None:
    op.create_table(
        "record_letter_change",
        sa.Column("letter_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="that this change made"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column(
            "differences", postgresql.JSONB(), nullable=False, comment="field: [before, after]"
        ),
        sa.Column("sealed", sa.LargeBinary(), comment="the same of what is encrypted"),
        sa.ForeignKeyConstraint(
            ["letter_id"],
            ["record_letter.id"],
            name=op.f("fk_record_letter_change_letter_id_record_letter"),
        ),
        sa.PrimaryKeyConstraint("letter_id", "version", name=op.f("pk_record_letter_change")),
    )
