"""Requests to state bodies, with what leaves and every step (R4, R22, R23)."""

import sqlalchemy as sa
from alembic import op

revision = "0110"
down_revision = "0109"

WITH_BODY = (
    "state IN ('accepted', 'delivered', 'first_measures', 'overdue', 'seen', 'sent',"
    " 'very_overdue')"
)


def upgrade() -> None:
    op.create_table(
        "body_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "direction",
            sa.Text(),
            nullable=False,
            comment="of point 10: decides which fields it needs",
        ),
        sa.Column(
            "language", sa.Text(), nullable=False, comment="in which it is written: kk or ru"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="see RequestState"),
        sa.Column("version", sa.Integer(), nullable=False, comment="counts changes and steps"),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME, who began it"),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="own words and files, encrypted; none: erased",
        ),
        sa.Column(
            "chosen",
            sa.LargeBinary(),
            nullable=True,
            comment="fields of the record, what was cleared; encrypted",
        ),
        sa.Column(
            "number",
            sa.Text(),
            nullable=True,
            comment="that the body gave it: the proof that it left",
        ),
        sa.Column("dated", sa.Date(), nullable=True, comment="the day of that number"),
        sa.Column("due_on", sa.Date(), nullable=True, comment="last day of the answer"),
        sa.Column("competent", sa.Text(), nullable=True, comment="named by the body that refused"),
        sa.CheckConstraint("language IN ('kk', 'ru')", name=op.f("ck_body_request_language")),
        sa.CheckConstraint(
            "(number IS NULL) = (dated IS NULL)", name=op.f("ck_body_request_proved")
        ),
        sa.CheckConstraint(
            "(state = 'refused') = (competent IS NOT NULL)", name=op.f("ck_body_request_refused")
        ),
        sa.CheckConstraint(
            f"NOT ({WITH_BODY}) OR due_on IS NOT NULL", name=op.f("ck_body_request_due")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_body_request_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(["body"], ["body.code"], name=op.f("fk_body_request_body_body")),
        sa.ForeignKeyConstraint(
            ["competent"], ["body.code"], name=op.f("fk_body_request_competent_body")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_body_request")),
    )
    op.create_index("ix_body_request_appeal_id", "body_request", ["appeal_id", "begun_at"])
    op.create_index(
        "ix_body_request_waiting",
        "body_request",
        ["appeal_id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_body_request_due",
        "body_request",
        ["due_on", "appeal_id"],
        postgresql_where=sa.text(WITH_BODY),
    )
    op.create_table(
        "body_request_step",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="1 is the first"),
        sa.Column("step", sa.Text(), nullable=False, comment="see RequestStep"),
        sa.Column("state", sa.Text(), nullable=False, comment="after it"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME, or system:requests"),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="the reason, encrypted; none: erased, or a proof",
        ),
        sa.Column(
            "package",
            sa.LargeBinary(),
            nullable=True,
            comment="of readied: text and files as they leave, encrypted",
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="of all that leaves, hexadecimal"),
        sa.CheckConstraint(
            "(step = 'readied') = (sha256 IS NOT NULL)", name=op.f("ck_body_request_step_readied")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["body_request.id"],
            name=op.f("fk_body_request_step_request_id_body_request"),
        ),
        sa.PrimaryKeyConstraint("request_id", "ordinal", name=op.f("pk_body_request_step")),
    )
