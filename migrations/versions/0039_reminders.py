"""Reminders, what is urgent, the term to pass an appeal on, and appeals that belong together."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"

FIELDS = Path(__file__).with_name("0039_urgency.json")


def upgrade() -> None:
    _make_reminders()
    op.add_column(
        "record",
        sa.Column(
            "forward_due_on", sa.Date(), comment="until when it is taken into work or passed on"
        ),
    )
    for name, column in (("forward_due", "forward_due_on"), ("part_of",) * 2, ("joined_to",) * 2):
        op.create_index(
            f"ix_record_{name}",
            "record",
            [column],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index(
        "ix_record_urgent",
        "record",
        ["appeal_id"],
        postgresql_where=sa.text(
            "danger_passed_at IS NULL AND"
            " (content->>'danger' = 'yes' OR content->>'urgency' = 'urgent')"
        ),
    )
    op.drop_index("ix_record_danger", "record")
    _add_fields()


def _add_fields() -> None:
    """How urgent it is; and the reason of danger is that of urgency too, unless the center has
    changed that field."""
    for each in json.loads(FIELDS.read_text(encoding="utf-8")):
        op.execute(
            sa.text(
                "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en,"
                " position, options, active, built_in, author, at)"
                " SELECT :code, 'appeal', :version, :type, :guard, :kk, :ru, :en, :position,"
                " CAST(:options AS jsonb), true, true, 'callcenter', now()"
                " WHERE (SELECT count(*) FROM record_field"
                " WHERE code = :code AND section = 'appeal') = :version - 1"
            ).bindparams(**each | {"options": json.dumps(each["options"], ensure_ascii=False)})
        )


def _make_reminders() -> None:
    op.create_table(
        "record_reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False, comment="who is reminded"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="about what, encrypted"),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("done_by", sa.Text(), comment="user:NAME"),
        sa.CheckConstraint(
            "(done_at IS NULL) = (done_by IS NULL)", name=op.f("ck_record_reminder_done")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_record_reminder_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_reminder")),
    )
    op.create_index("ix_record_reminder_appeal_id", "record_reminder", ["appeal_id"])
    for name, columns in (("due", ["due_at"]), ("user", ["user_name", "due_at"])):
        op.create_index(
            f"ix_record_reminder_{name}",
            "record_reminder",
            columns,
            postgresql_where=sa.text("done_at IS NULL"),
        )
