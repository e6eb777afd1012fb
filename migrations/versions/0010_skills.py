"""What consultants can do: the center's own list of skills, and who has which at which level."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

SKILLS = (
    ("psychologist", "Психолог", "Психолог"),
    ("lawyer", "Заңгер", "Юрист"),
    ("children", "Балалармен жұмыс", "Работа с детьми"),
)


def upgrade() -> None:
    skills = op.create_table(
        "skill",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_kk", sa.Text(), nullable=False),
        sa.Column("name_ru", sa.Text(), nullable=False),
        sa.Column(
            "active", sa.Boolean(), server_default="true", nullable=False, comment="never deleted"
        ),
        sa.CheckConstraint("code ~ '^[a-z][a-z_]{1,39}$'", name=op.f("ck_skill_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_skill")),
    )
    op.bulk_insert(
        skills, [{"code": code, "name_kk": kk, "name_ru": ru} for code, kk, ru in SKILLS]
    )
    op.create_table(
        "consultant_skill",
        sa.Column("consultant_id", sa.Uuid(), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False, comment="1 to 5, the best"),
        sa.CheckConstraint("level BETWEEN 1 AND 5", name=op.f("ck_consultant_skill_level")),
        sa.ForeignKeyConstraint(
            ["consultant_id"],
            ["consultant.id"],
            name=op.f("fk_consultant_skill_consultant_id_consultant"),
        ),
        sa.ForeignKeyConstraint(
            ["skill"], ["skill.code"], name=op.f("fk_consultant_skill_skill_skill")
        ),
        sa.PrimaryKeyConstraint("consultant_id", "skill", name=op.f("pk_consultant_skill")),
    )
    op.drop_constraint(op.f("ck_pause_reason_code"), "pause_reason")
    op.create_check_constraint(
        op.f("ck_pause_reason_code"),
        "pause_reason",
        "code ~ '^[a-z][a-z_]{1,39}$' AND code NOT IN ('missed', 'page_gone')",
    )
