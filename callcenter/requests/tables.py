"""Tables of requests to state bodies, and of their steps."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
)

from callcenter.appeals.calls.tables import appeal
from callcenter.bodies.tables import body
from callcenter.platform.storage.metadata import metadata
from callcenter.requests.rules.states import WITH_BODY

#: Requests that a body has; also the condition of an index.
IS_WITH_BODY = f"state IN ({', '.join(sorted(repr(state.value) for state in WITH_BODY))})"
IS_WAITING = "state = 'waiting'"

body_request = Table(
    "body_request",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey(appeal.c.id), nullable=False),
    Column("body", Text, ForeignKey(body.c.code), nullable=False),
    Column("direction", Text, nullable=False, comment="of point 10: decides which fields it needs"),
    Column("language", Text, nullable=False, comment="in which it is written: kk or ru"),
    Column("state", Text, nullable=False, comment="see RequestState"),
    Column("version", Integer, nullable=False, comment="counts changes and steps"),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, who began it"),
    Column("sealed", LargeBinary, comment="own words and files, encrypted; none: erased"),
    Column("chosen", LargeBinary, comment="fields of the record, what was cleared; encrypted"),
    Column("number", Text, comment="that the body gave it: the proof that it left"),
    Column("dated", Date, comment="the day of that number"),
    Column("due_on", Date, comment="last day of the answer"),
    Column("leaves_at", DateTime(timezone=True), comment="when it is ready: not before (R22)"),
    Column("notified_at", DateTime(timezone=True), comment="the applicant: which body has it"),
    Column("notice_due_on", Date, comment="last day of it; none: somebody saw to it"),
    Column("competent", Text, ForeignKey(body.c.code), comment="named by the body that refused"),
    CheckConstraint("language IN ('kk', 'ru')", name="language"),
    CheckConstraint("(number IS NULL) = (dated IS NULL)", name="proved"),
    CheckConstraint("(state = 'refused') = (competent IS NOT NULL)", name="refused"),
    CheckConstraint(f"NOT ({IS_WITH_BODY}) OR due_on IS NOT NULL", name="due"),
    Index("ix_body_request_appeal_id", "appeal_id", "begun_at"),
    Index("ix_body_request_waiting", "appeal_id", postgresql_where=IS_WAITING),
    Index("ix_body_request_due", "due_on", "appeal_id", postgresql_where=IS_WITH_BODY),
    Index(
        "ix_body_request_notice",
        "notice_due_on",
        "appeal_id",
        postgresql_where="number IS NOT NULL AND notified_at IS NULL",
    ),
)

body_request_step = Table(
    "body_request_step",
    metadata,
    Column("request_id", Uuid, ForeignKey(body_request.c.id), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="1 is the first"),
    Column("step", Text, nullable=False, comment="see RequestStep"),
    Column("state", Text, nullable=False, comment="after it"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, or system:requests"),
    Column("sealed", LargeBinary, comment="the reason, encrypted; none: erased, or a proof"),
    Column("package", LargeBinary, comment="of readied: text and files as they leave, encrypted"),
    Column("sha256", Text, comment="of all that leaves, hexadecimal"),
    CheckConstraint("(step = 'readied') = (sha256 IS NOT NULL)", name="readied"),
)
