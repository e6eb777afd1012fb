"""Presets of ordinary consultations, which the center edits; three to begin with."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0096"
down_revision = "0095"

BROUGHT = Path(__file__).with_name("0096_presets.json")


def upgrade() -> None:
    op.create_table(
        "record_preset",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kk", sa.Text(), nullable=False),
        sa.Column("ru", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="see AppealKind"),
        sa.Column(
            "answers", JSONB(), nullable=False, comment="by field, the same for every applicant"
        ),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_preset")),
    )
    for each in json.loads(BROUGHT.read_text(encoding="utf-8")):
        answers = json.dumps(each["answers"], ensure_ascii=False)
        op.execute(
            sa.text(
                "INSERT INTO record_preset (id, kk, ru, en, kind, answers, active, author, at)"
                " VALUES (CAST(:id AS uuid), :kk, :ru, :en, :kind, CAST(:answers AS jsonb), true,"
                " 'callcenter', now())"
            ).bindparams(**each | {"answers": answers})
        )
