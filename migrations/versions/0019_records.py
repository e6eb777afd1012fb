"""The record of an appeal, the form that it is edited by, and the terms of the law."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"

FIRST = Path(__file__).with_name("0019_first_fields.json")


def upgrade() -> None:
    _make_tables()
    _fill_in()


def _fill_in() -> None:
    """What a center begins with; from then on it is the center's."""
    first = json.loads(FIRST.read_text(encoding="utf-8"))
    for each in first["fields"]:
        op.execute(
            sa.text(
                "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en,"
                " position, options, active, built_in, author, at)"
                " VALUES (:code, :section, 1, :type, :guard, :kk, :ru, :en, :position,"
                " CAST(:options AS jsonb), true, :built_in, 'callcenter', now())"
            ).bindparams(**each | {"options": json.dumps(each["options"], ensure_ascii=False)})
        )
    for each in first["terms"]:
        op.execute(
            sa.text(
                "INSERT INTO law_term (clock, length, unit, article, valid_from)"
                " VALUES (:clock, :length, :unit, :article, CAST(:valid_from AS date))"
            ).bindparams(**each)
        )


def _make_tables() -> None:

    op.create_table(
        "law_term",
        sa.Column("clock", sa.Text(), nullable=False, comment="see register.terms.Clock"),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column(
            "valid_to", sa.Date(), nullable=True, comment="the last day, none: until further notice"
        ),
        sa.Column("length", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False, comment="working_days or months"),
        sa.Column("article", sa.Text(), nullable=False, comment="its source, as it is cited"),
        sa.CheckConstraint("length > 0", name=op.f("ck_law_term_length")),
        sa.CheckConstraint(
            "valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_law_term_valid")
        ),
        sa.PrimaryKeyConstraint("clock", "valid_from", name=op.f("pk_law_term")),
    )
    op.create_table(
        "record_field",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False, comment="appeal or person"),
        sa.Column("version", sa.Integer(), nullable=False, comment="the highest is in force"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("guard", sa.Text(), nullable=False, comment="open, personal or sensitive"),
        sa.Column("kk", sa.Text(), nullable=False),
        sa.Column("ru", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False, comment="for pages of the staff"),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column(
            "options", JSONB(), nullable=False, comment="[{code, kk, ru, en, parent, active}]"
        ),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("built_in", sa.Boolean(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", "section", "version", name=op.f("pk_record_field")),
    )
    op.create_table(
        "record",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="1 is the first; counts saved changes"
        ),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=True,
            comment="see register.stages.Kind; null while undecided",
        ),
        sa.Column("stage", sa.Text(), nullable=False, comment="see register.stages.Stage"),
        sa.Column("owner", sa.Text(), nullable=True, comment="name of the user who answers for it"),
        sa.Column("content", JSONB(), nullable=False, comment="all but sensitive fields, flat"),
        sa.Column("sealed", sa.LargeBinary(), nullable=True, comment="sensitive fields, encrypted"),
        sa.Column("registered_on", sa.Date(), nullable=True, comment="legal date (APPC, 64(3))"),
        sa.Column(
            "registered_by",
            sa.Text(),
            nullable=True,
            comment="user who accepted it: on the receipt",
        ),
        sa.Column(
            "receipt_code",
            sa.Text(),
            nullable=True,
            comment="four digits that prove, with the number, whose it is",
        ),
        sa.Column("due_on", sa.Date(), nullable=True, comment="last day of the term that runs"),
        sa.Column("due_article", sa.Text(), nullable=True),
        sa.Column(
            "notice_due_on",
            sa.Date(),
            nullable=True,
            comment="until when the applicant is told of an extension",
        ),
        sa.Column("extended", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "danger_passed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="told to who can help at once",
        ),
        sa.Column("part_of", sa.Uuid(), nullable=True, comment="it was split off from this one"),
        sa.Column("joined_to", sa.Uuid(), nullable=True, comment="it goes on within this one"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(stage = 'joined') = (joined_to IS NOT NULL)", name=op.f("ck_record_joined")
        ),
        sa.CheckConstraint(
            "stage <> 'registered' OR registered_on IS NOT NULL", name=op.f("ck_record_registered")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_record_version")),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_record_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(
            ["joined_to"], ["appeal.id"], name=op.f("fk_record_joined_to_appeal")
        ),
        sa.ForeignKeyConstraint(["part_of"], ["appeal.id"], name=op.f("fk_record_part_of_appeal")),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_record")),
    )
    op.create_index(
        "ix_record_due", "record", ["due_on"], unique=False, postgresql_where="due_on IS NOT NULL"
    )
    op.create_index("ix_record_owner", "record", ["owner", "changed_at"], unique=False)
    op.create_table(
        "record_draft",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column(
            "version",
            sa.Integer(),
            nullable=False,
            comment="of the record that it was typed on; 0: none",
        ),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="what was typed, encrypted whole"
        ),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_record_draft_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("appeal_id", "author", name=op.f("pk_record_draft")),
    )
    op.create_table(
        "record_change",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="that this change made"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column(
            "differences", JSONB(), nullable=False, comment="key: [before, after], not sensitive"
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="the same of sensitive keys, encrypted",
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["record.appeal_id"], name=op.f("fk_record_change_appeal_id_record")
        ),
        sa.PrimaryKeyConstraint("appeal_id", "version", name=op.f("pk_record_change")),
    )
    op.create_table(
        "record_identifier",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False, comment="applicant, affected1, ..."),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="keyed, of ИИН or БИН"),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["record.appeal_id"], name=op.f("fk_record_identifier_appeal_id_record")
        ),
        sa.PrimaryKeyConstraint("appeal_id", "person", name=op.f("pk_record_identifier")),
    )
    op.create_index("ix_record_identifier_hash", "record_identifier", ["hash"], unique=False)
    op.create_table(
        "record_move",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["record.appeal_id"], name=op.f("fk_record_move_appeal_id_record")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_move")),
    )
    op.create_index("ix_record_move_appeal_id", "record_move", ["appeal_id", "id"], unique=False)
    op.add_column(
        "web_user",
        sa.Column(
            "full_name", sa.Text(), nullable=True, comment="surname and initials, as on receipts"
        ),
    )
    op.add_column(
        "web_user", sa.Column("position", sa.Text(), nullable=True, comment="as on receipts")
    )
