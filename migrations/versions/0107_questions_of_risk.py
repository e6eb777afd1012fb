"""Questions of risk, which the center edits; a starter set, to be verified by a psychologist."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0107"
down_revision = "0106"

BROUGHT = Path(__file__).with_name("0107_questions_of_risk.json")


def upgrade() -> None:
    op.add_column(
        "record_field",
        sa.Column(
            "proposing",
            JSONB(),
            comment="of a question of risk: codes of answers that propose urgency;"
            " none: another one",
        ),
    )
    op.add_column(
        "record_field",
        sa.Column(
            "verified",
            sa.Boolean(),
            nullable=False,
            server_default="true",
            comment="a question of risk, by a psychologist",
        ),
    )
    brought = json.loads(BROUGHT.read_text(encoding="utf-8"))
    options = json.dumps(brought["options"], ensure_ascii=False)
    for each in brought["questions"]:
        op.execute(
            sa.text(
                "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en,"
                " position, options, active, built_in, proposing, verified, author, at)"
                " SELECT :code, 'appeal', 1, 'choice', 'sensitive', :kk, :ru, :en, :position,"
                " CAST(:options AS jsonb), true, false, CAST(:proposing AS jsonb), false,"
                " 'callcenter', now()"
                " WHERE NOT EXISTS (SELECT FROM record_field WHERE code = :code)"
            ).bindparams(**each | {"options": options, "proposing": json.dumps(each["proposing"])})
        )
