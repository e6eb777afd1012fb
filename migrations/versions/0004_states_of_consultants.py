"""Who was in which state when, the reasons of pauses, and which person is which consultant."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

REASONS = (
    ("lunch", "Түскі үзіліс", "Обед"),
    ("training", "Оқу", "Обучение"),
    ("recovery", "Ауыр қоңыраудан кейін тынығу", "Восстановление после тяжёлого звонка"),
    ("supervision", "Супервизия", "Супервизия"),
    ("technical", "Техникалық себеп", "Техническая причина"),
)


def upgrade() -> None:
    create_states()
    create_reasons()
    op.add_column(
        "web_user",
        sa.Column(
            "consultant_id",
            sa.Uuid(),
            nullable=True,
            comment="the consultant that this person is",
        ),
    )
    op.create_foreign_key(
        op.f("fk_web_user_consultant_id_consultant"),
        "web_user",
        "consultant",
        ["consultant_id"],
        ["id"],
    )
    op.create_unique_constraint(op.f("uq_web_user_consultant_id"), "web_user", ["consultant_id"])


def create_states() -> None:
    op.create_table(
        "consultant_state",
        sa.Column("consultant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="by the desk, never twice",
        ),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="from then on; see consultants.states"
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="of a pause, or of being signed out"),
        sa.Column("changed_by", sa.Text(), nullable=False, comment="self, desk or user:NAME"),
        sa.CheckConstraint(
            "state IN"
            " ('signed_out', 'ready', 'offered', 'ringing', 'talking', 'wrap_up', 'paused')",
            name=op.f("ck_consultant_state_state"),
        ),
        sa.ForeignKeyConstraint(
            ["consultant_id"],
            ["consultant.id"],
            name=op.f("fk_consultant_state_consultant_id_consultant"),
        ),
        sa.PrimaryKeyConstraint("consultant_id", "at", name=op.f("pk_consultant_state")),
    )


def create_reasons() -> None:
    reasons = op.create_table(
        "pause_reason",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_kk", sa.Text(), nullable=False),
        sa.Column("name_ru", sa.Text(), nullable=False),
        sa.Column(
            "active", sa.Boolean(), server_default="true", nullable=False, comment="never deleted"
        ),
        sa.CheckConstraint(
            "code ~ '^[a-z][a-z_]{1,39}$' AND code <> 'missed'", name=op.f("ck_pause_reason_code")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_pause_reason")),
    )
    op.bulk_insert(
        reasons,
        [{"code": code, "name_kk": kk, "name_ru": ru} for code, kk, ru in REASONS],
    )
