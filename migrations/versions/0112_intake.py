"""Written messages, each as it came, open an appeal or join one."""

import sqlalchemy as sa
from alembic import op

revision = "0112"
down_revision = "0110"


def upgrade() -> None:
    op.create_table(
        "intake_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="the driver, and the program behind it"
        ),
        sa.Column(
            "message_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="keyed, of its id in the source",
        ),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False, comment="keyed, of what it says"),
        sa.Column(
            "thread_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="keyed, of the conversation in the source",
        ),
        sa.Column("channel", sa.Text(), nullable=False, comment="see ContactChannel"),
        sa.Column("urgent", sa.Boolean(), nullable=False, comment="the writer is in danger now"),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, comment="at the center"
        ),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "author",
            sa.Text(),
            nullable=False,
            comment="who handed it over, as in the audit log",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="what is written and by whom, encrypted; none: erased",
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeal.id"], name=op.f("fk_intake_message_appeal_id_appeal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake_message")),
        sa.UniqueConstraint(
            "message_hash", "text_hash", name=op.f("uq_intake_message_message_hash")
        ),
    )
    op.create_index("ix_intake_message_appeal_id", "intake_message", ["appeal_id", "received_at"])
    op.create_index("ix_intake_message_text_hash", "intake_message", ["text_hash", "stored_at"])
    op.create_index(
        "ix_intake_message_thread_hash",
        "intake_message",
        ["thread_hash", "stored_at"],
        postgresql_where=sa.text("thread_hash IS NOT NULL"),
    )
