"""What appeals are found by."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "search_word",
        sa.Column(
            "word",
            sa.Text(),
            nullable=False,
            comment="a stem or folded name that some appeal has",
        ),
        sa.Column(
            "grams", sa.ARRAY(sa.Text()), nullable=False, comment="its pieces of three letters"
        ),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_search_word")),
    )
    op.create_index("ix_search_word_grams", "search_word", ["grams"], postgresql_using="gin")
    op.create_table(
        "record_search",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "terms",
            sa.ARRAY(sa.Text()),
            nullable=False,
            comment="stems, folded names, numbers, hashes",
        ),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, comment="of the appeal"
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"],
            ["record.appeal_id"],
            name=op.f("fk_record_search_appeal_id_record"),
        ),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_record_search")),
    )
    op.create_index("ix_record_search_received_at", "record_search", ["received_at"])
    op.create_index("ix_record_search_terms", "record_search", ["terms"], postgresql_using="gin")
    op.create_index(
        "ix_record_danger",
        "record",
        ["changed_at"],
        postgresql_where=sa.text("danger_passed_at IS NULL AND content->>'danger' = 'yes'"),
    )
