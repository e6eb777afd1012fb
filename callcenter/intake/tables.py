"""Tables of intake: written messages as they came, and the queue of contacts to be read."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from callcenter.platform.storage.metadata import metadata

intake_message = Table(
    "intake_message",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("source", Text, nullable=False, comment="the driver, and the program behind it"),
    Column("message_hash", LargeBinary, nullable=False, comment="keyed, of its id in the source"),
    Column("text_hash", LargeBinary, nullable=False, comment="keyed, of what it says"),
    Column("thread_hash", LargeBinary, comment="keyed, of the conversation in the source"),
    Column("channel", Text, nullable=False, comment="see ContactChannel"),
    Column("urgent", Boolean, nullable=False, comment="the writer is in danger now"),
    Column("received_at", DateTime(timezone=True), nullable=False, comment="at the center"),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="who handed it over, as in the audit log"),
    Column("sealed", LargeBinary, comment="what is written and by whom, encrypted; none: erased"),
    UniqueConstraint("message_hash", "text_hash"),
    Index("ix_intake_message_appeal_id", "appeal_id", "received_at"),
    Index("ix_intake_message_text_hash", "text_hash", "stored_at"),
    Index(
        "ix_intake_message_thread_hash",
        "thread_hash",
        "stored_at",
        postgresql_where="thread_hash IS NOT NULL",
    ),
)

written_contact = Table(
    "written_contact",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("language", Text, nullable=False, comment="in which the reader is to write: kk or ru"),
    Column("skill", Text, ForeignKey("skill.code"), comment="that the reader is to have"),
    Column("urgent", Boolean, nullable=False, comment="the writer is in danger: it goes first"),
    Column("queued_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False, comment="until when it is read"),
    Column("holder", Text, comment="user to whom it is offered, or who has it in hand"),
    Column("offered_until", DateTime(timezone=True), comment="then it goes back, unless read"),
    Column("read_at", DateTime(timezone=True), comment="by its holder; none: not, or not all"),
    Column("returns", SmallInteger, nullable=False, server_default="0", comment="to the queue"),
    Column("done_at", DateTime(timezone=True), comment="when nobody had it in hand any more"),
    Column("done_by", Text, comment="user:NAME"),
    CheckConstraint("language IN ('kk', 'ru')", name="language"),
    CheckConstraint("read_at IS NULL OR holder IS NOT NULL", name="holder"),
    CheckConstraint("(done_at IS NULL) = (done_by IS NULL)", name="done"),
    Index("uq_written_contact_open", "appeal_id", unique=True, postgresql_where="done_at IS NULL"),
    Index(
        "ix_written_contact_unread",
        text("urgent DESC"),
        "due_at",
        postgresql_where="done_at IS NULL AND read_at IS NULL",
    ),
    Index("ix_written_contact_holder", "holder", postgresql_where="done_at IS NULL"),
)
