"""Psychological help goes on: notes of psychologists, booked talks, a safety plan on the record."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0095"
down_revision = "0094"

NAMES = Path(__file__).with_name("0095_psychological_help.json")


def upgrade() -> None:
    op.execute(
        sa.text(
            "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en,"
            " position, options, active, built_in, author, at)"
            " SELECT 'safety_plan', 'appeal', 1, 'long_text', 'sensitive', :kk, :ru, :en, 105,"
            " '[]'::jsonb, true, true, 'callcenter', now()"
            " WHERE NOT EXISTS (SELECT FROM record_field WHERE code = 'safety_plan')"
        ).bindparams(**json.loads(NAMES.read_text(encoding="utf-8")))
    )
    op.create_table(
        "psychological_note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME, a psychologist"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), comment="encrypted; none: erased"),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_psychological_note_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_psychological_note")),
    )
    op.create_index("ix_psychological_note_appeal_id", "psychological_note", ["appeal_id"])
    op.create_table(
        "psychological_talk",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False, comment="the psychologist"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("done_by", sa.Text(), comment="user:NAME"),
        sa.CheckConstraint(
            "(done_at IS NULL) = (done_by IS NULL)", name=op.f("ck_psychological_talk_done")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_psychological_talk_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_psychological_talk")),
    )
    op.create_index("ix_psychological_talk_appeal_id", "psychological_talk", ["appeal_id"])
    op.create_index(
        "ix_psychological_talk_user",
        "psychological_talk",
        ["user_name", "due_at"],
        postgresql_where=sa.text("done_at IS NULL"),
    )
