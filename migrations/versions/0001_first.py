"""The first tables: consultants, the register of appeals, recordings, and the jobs."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

# The jobs' tables are procrastinate's own, in its own steps, which never change once released:
# so a new database and an old one end alike. A newer procrastinate brings newer steps, and they
# go into a migration of their own (a test tells).
LAST_STEP_OF_JOBS = "03.04.00_50_post_add_retry_failed_job_procedure.sql"


def upgrade() -> None:
    create_consultants()
    create_appeals()
    create_recordings()
    create_jobs()


def create_consultants() -> None:
    op.create_table(
        "consultant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False, comment="SIP user name: 3-6 digits"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("languages", sa.ARRAY(sa.Text()), nullable=False, comment="kk, ru: both or one"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="MD5(extension:asterisk:password), RFC 2617",
        ),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("extension ~ '^[0-9]{3,6}$'", name=op.f("ck_consultant_extension")),
        sa.CheckConstraint(
            "languages <@ ARRAY['kk', 'ru'] AND languages <> '{}'",
            name=op.f("ck_consultant_languages"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultant")),
        sa.UniqueConstraint("extension", name=op.f("uq_consultant_extension")),
    )


def create_appeals() -> None:
    op.create_table(
        "appeal_counter",
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="two digits, by Asia/Almaty"),
        sa.Column(
            "last", sa.Integer(), nullable=False, comment="last sequence number given in this year"
        ),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_appeal_counter")),
    )
    op.create_table(
        "appeal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False, comment="ten digits, see appeals.number"),
        sa.Column("channel", sa.Text(), nullable=False, comment="how it came: call"),
        sa.Column(
            "call_id",
            sa.Text(),
            nullable=True,
            comment="the switch's unique id of the caller's channel",
        ),
        sa.Column("language", sa.Text(), nullable=True, comment="kk or ru, once chosen"),
        sa.Column(
            "caller_kind",
            sa.Text(),
            nullable=False,
            comment="number, short, withheld or unreadable",
        ),
        sa.Column("caller_number", sa.Text(), nullable=True, comment="E.164, or the short number"),
        sa.Column("consultant_id", sa.Uuid(), nullable=True, comment="who talked last"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=True,
            comment="exactly one, see line.outcomes; null while the call lives",
        ),
        sa.CheckConstraint("language IN ('kk', 'ru')", name=op.f("ck_appeal_language")),
        sa.CheckConstraint("number ~ '^[0-9]{10}$'", name=op.f("ck_appeal_number")),
        sa.CheckConstraint(
            "(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_appeal_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["consultant_id"], ["consultant.id"], name=op.f("fk_appeal_consultant_id_consultant")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal")),
        sa.UniqueConstraint("call_id", name=op.f("uq_appeal_call_id")),
        sa.UniqueConstraint("number", name=op.f("uq_appeal_number")),
    )
    op.create_index(
        "ix_appeal_live",
        "appeal",
        ["received_at"],
        unique=False,
        postgresql_where="outcome IS NULL",
    )
    op.create_index("ix_appeal_received_at", "appeal", ["received_at"], unique=False)
    op.create_table(
        "appeal_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "seq",
            sa.Integer(),
            nullable=False,
            comment="order within the call: writing is repeatable",
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="see line.outcomes.Moment"),
        sa.Column("detail", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["appeal_id"],
            ["appeal.id"],
            name=op.f("fk_appeal_event_appeal_id_appeal"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_event")),
        sa.UniqueConstraint("appeal_id", "seq", name=op.f("uq_appeal_event_appeal_id")),
    )


def create_recordings() -> None:
    op.create_table(
        "recording",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("consultant_id", sa.Uuid(), nullable=True),
        sa.Column("spool_name", sa.Text(), nullable=False, comment="file that the switch writes"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="recording, closed, stored or failed"
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "store_name", sa.Text(), nullable=True, comment="object in the store, once stored"
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="of the stored object, hexadecimal"),
        sa.Column("bytes", sa.BigInteger(), nullable=True, comment="size of the stored object"),
        sa.Column("duration_ms", sa.Integer(), nullable=True, comment="length of the audio"),
        sa.Column(
            "fault", sa.Text(), nullable=True, comment="why it failed, for the records officer"
        ),
        sa.CheckConstraint(
            "(state = 'stored') = (sha256 IS NOT NULL)", name=op.f("ck_recording_stored")
        ),
        sa.CheckConstraint(
            "state IN ('recording', 'closed', 'stored', 'failed')", name=op.f("ck_recording_state")
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_recording_appeal_id_appeal")
        ),
        sa.ForeignKeyConstraint(
            ["consultant_id"], ["consultant.id"], name=op.f("fk_recording_consultant_id_consultant")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recording")),
        sa.UniqueConstraint("spool_name", name=op.f("uq_recording_spool_name")),
        sa.UniqueConstraint("store_name", name=op.f("uq_recording_store_name")),
    )
    op.create_index("ix_recording_appeal_id", "recording", ["appeal_id"], unique=False)


def create_jobs() -> None:
    driver = op.get_bind().connection.cursor()
    for step in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
        if step.name <= LAST_STEP_OF_JOBS:
            driver.execute(step.read_bytes())  # the driver itself: a step is many statements
