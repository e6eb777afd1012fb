"""Districts are chosen from the list of КАТО (decision 54); what was typed before stays as it is.

The type of the question stays text, so that a process of the version before shows and keeps both.
"""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0052"

DISTRICTS = Path(__file__).with_name("0058_districts.json")


def upgrade() -> None:
    listed = json.loads(DISTRICTS.read_text(encoding="utf-8"))
    names = ("code", "kk", "ru", "en", "parent")
    options = [{name: each[name] for name in names} | {"active": True} for each in listed]
    op.execute(
        sa.text(
            "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en,"
            " position, options, active, built_in, author, at)"
            " SELECT code, section, version + 1, type, guard, kk, ru, en, position,"
            " CAST(:options AS jsonb), active, built_in, 'callcenter', now()"
            " FROM record_field WHERE code = 'district' AND section = 'appeal'"
            " ORDER BY version DESC LIMIT 1"
        ).bindparams(options=json.dumps(options, ensure_ascii=False))
    )
