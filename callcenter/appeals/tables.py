"""Tables of records: content, changes, moves, drafts, letters, form and terms."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.appeals.rules.text_analysis import KAZAKH_LETTERS, RUSSIAN_LETTERS
from callcenter.platform.identity.approvals import approval_columns
from callcenter.platform.storage.metadata import metadata

record = Table(
    "record",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), primary_key=True),
    Column("version", Integer, nullable=False, comment="1 is the first; counts saved changes"),
    Column("kind", Text, comment="see AppealKind; null while undecided"),
    Column("stage", Text, nullable=False, comment="see AppealState"),
    Column("owner", Text, comment="name of the user who answers for it"),
    Column("disposition", Text, comment="of what had no request, see Disposition"),
    Column("content", JSONB, nullable=False, comment="all but sensitive fields, flat"),
    Column("sealed", LargeBinary, comment="sensitive fields, encrypted"),
    Column("registered_on", Date, comment="legal date (APPC, 64(3))"),
    Column("registered_by", Text, comment="user who accepted it: on the receipt"),
    Column("receipt_code", Text, comment="four digits that prove, with the number, whose it is"),
    Column("forward_due_on", Date, comment="until when it is taken into work or passed on"),
    Column("due_on", Date, comment="last day of the term that runs"),
    Column("due_article", Text),
    Column("notice_due_on", Date, comment="until when the applicant is told of an extension"),
    Column("letter_due_on", Date, comment="the earliest day of an answer that a letter waits for"),
    Column("extended", Boolean, nullable=False, server_default="false"),
    Column("danger_passed_at", DateTime(timezone=True), comment="told to who can help at once"),
    # A column of its own, so that the planner knows how few they are.
    Column(
        "not_passed_on",
        Boolean,
        Computed(
            "danger_passed_at IS NULL AND coalesce(kind = 'danger'"
            " OR content->>'danger' = 'yes' OR content->>'urgency' = 'urgent', false)",
            persisted=True,
        ),
        comment="urgent, and nobody who can help was told",
    ),
    Column("part_of", Uuid, ForeignKey("appeal.id"), comment="it was split off from this one"),
    Column("joined_to", Uuid, ForeignKey("appeal.id"), comment="it goes on within this one"),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("(stage = 'joined') = (joined_to IS NOT NULL)", name="joined"),
    CheckConstraint("stage <> 'registered' OR registered_on IS NOT NULL", name="registered"),
    Index(
        "ix_record_due",
        "due_on",
        postgresql_where="due_on IS NOT NULL",
    ),
    Index("ix_record_notice_due", "notice_due_on", postgresql_where="notice_due_on IS NOT NULL"),
    Index("ix_record_letter_due", "letter_due_on", postgresql_where="letter_due_on IS NOT NULL"),
    Index("ix_record_owner_stage", "owner", "stage"),
    Index(
        "ix_record_forward_due",
        "forward_due_on",
        postgresql_where="forward_due_on IS NOT NULL",
    ),
    Index("ix_record_urgent", "appeal_id", postgresql_where="not_passed_on"),
    Index("ix_record_part_of", "part_of", postgresql_where="part_of IS NOT NULL"),
    Index("ix_record_joined_to", "joined_to", postgresql_where="joined_to IS NOT NULL"),
)

#: What `Record.urgent` says (R11); null without a record.
IS_URGENT = or_(
    record.c.kind == "danger",
    record.c.content["danger"].astext == "yes",
    record.c.content["urgency"].astext == "urgent",
)

record_change = Table(
    "record_change",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("record.appeal_id"), primary_key=True),
    Column("version", Integer, primary_key=True, comment="that this change made"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("differences", JSONB, nullable=False, comment="key: [before, after], not sensitive"),
    Column("sealed", LargeBinary, comment="the same of sensitive keys, encrypted"),
)

record_move = Table(
    "record_move",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("record.appeal_id"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_record_move_appeal_id", "appeal_id", "id"),
    Index(
        "ix_record_move_no_request",
        "at",
        postgresql_where="before = 'no_request' OR after = 'no_request'",
    ),
)

record_draft = Table(
    "record_draft",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), primary_key=True),
    Column("author", Text, primary_key=True, comment="user:NAME"),
    Column(
        "version", Integer, nullable=False, comment="of the record that it was typed on; 0: none"
    ),
    Column("sealed", LargeBinary, nullable=False, comment="what was typed, encrypted whole"),
    Column("saved_at", DateTime(timezone=True), nullable=False),
)

record_attachment = Table(
    "record_attachment",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("sealed_name", LargeBinary, comment="what it is called, encrypted; none: erased"),
    Column("type", Text, nullable=False, comment="media type, by its bytes"),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, comment="of the file as it came, hexadecimal"),
    Column("state", Text, nullable=False, comment="see ScanState"),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("checked_at", DateTime(timezone=True), comment="when clamd looked at it"),
    Column("why", Text, comment="the virus in it, or why it could not be checked"),
    Column("removed_at", DateTime(timezone=True), comment="when an erased file left the store"),
    CheckConstraint(
        "state IN ('arriving', 'waiting', 'kept', 'aside', 'failed', 'erased')", name="state"
    ),
    Index("ix_record_attachment_appeal_id", "appeal_id", "at"),
    Index(
        "ix_record_attachment_to_do",
        "state",
        "at",
        postgresql_where="state IN ('arriving', 'waiting')"
        " OR (state = 'erased' AND removed_at IS NULL)",
    ),
)

record_letter = Table(
    "record_letter",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("record.appeal_id"), nullable=False),
    Column("version", Integer, nullable=False, comment="1 is the first; counts saved changes"),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it was entered"),
    Column("direction", Text, nullable=False, comment="in or out"),
    Column("kind", Text, nullable=False, comment="see LetterKind"),
    Column("party", Text, nullable=False, comment="see LetterParty"),
    Column("number", Text, nullable=False, comment="its own, as it stands on it"),
    Column("dated", Date, nullable=False),
    Column("answer_due_on", Date, comment="until when an answer to it is wanted"),
    Column("answers", Uuid, ForeignKey("record_letter.id"), comment="the letter that it answers"),
    Column("scan", Uuid, ForeignKey("record_attachment.id")),
    Column("sealed", LargeBinary, comment="with whom and what it is about, encrypted"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("direction IN ('in', 'out')", name="direction"),
    CheckConstraint("answers <> id", name="answers"),
    Index("ix_record_letter_appeal_id", "appeal_id", "at", "id"),
    Index("ix_record_letter_answers", "answers", postgresql_where="answers IS NOT NULL"),
)

record_letter_change = Table(
    "record_letter_change",
    metadata,
    Column("letter_id", Uuid, ForeignKey("record_letter.id"), primary_key=True),
    Column("version", Integer, primary_key=True, comment="that this change made"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("differences", JSONB, nullable=False, comment="field: [before, after]"),
    Column("sealed", LargeBinary, comment="the same of what is encrypted"),
)

record_reminder = Table(
    "record_reminder",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("user_name", Text, nullable=False, comment="who is reminded"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="about what, encrypted"),
    Column("done_at", DateTime(timezone=True)),
    Column("done_by", Text, comment="user:NAME"),
    CheckConstraint("(done_at IS NULL) = (done_by IS NULL)", name="done"),
    Index("ix_record_reminder_appeal_id", "appeal_id"),
    Index("ix_record_reminder_due", "due_at", postgresql_where="done_at IS NULL"),
    Index("ix_record_reminder_user", "user_name", "due_at", postgresql_where="done_at IS NULL"),
)

oral_contact = Table(
    "oral_contact",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("party", Text, nullable=False, comment="see LetterParty"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("sealed", LargeBinary, comment="with whom and what was said, encrypted; none: erased"),
    Index("ix_oral_contact_appeal_id", "appeal_id"),
)

psychological_note = Table(
    "psychological_note",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, a psychologist"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("sealed", LargeBinary, comment="encrypted; none: erased"),
    Index("ix_psychological_note_appeal_id", "appeal_id"),
)

psychological_talk = Table(
    "psychological_talk",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("user_name", Text, nullable=False, comment="the psychologist"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("booked_by", Text, nullable=False, comment="user:NAME"),
    Column("booked_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    Column("done_by", Text, comment="user:NAME"),
    CheckConstraint("(done_at IS NULL) = (done_by IS NULL)", name="done"),
    Index("ix_psychological_talk_appeal_id", "appeal_id"),
    Index("ix_psychological_talk_user", "user_name", "due_at", postgresql_where="done_at IS NULL"),
)

follow_up_call = Table(
    "follow_up_call",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("user_name", Text, nullable=False, comment="who makes it"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column(
        "attempts", SmallInteger, nullable=False, server_default="0", comment="that reached nobody"
    ),
    Column("booked_by", Text, nullable=False, comment="user:NAME"),
    Column("booked_at", DateTime(timezone=True), nullable=False),
    Column("result", Text, comment="see FollowUpResult; none: still to be made"),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_by", Text, comment="user:NAME"),
    CheckConstraint("result IN ('reached', 'not_reached', 'declined')", name="result"),
    CheckConstraint("(result IS NULL) = (ended_at IS NULL)", name="ended"),
    Index("ix_follow_up_call_appeal_id", "appeal_id"),
    Index("ix_follow_up_call_due", "due_at", postgresql_where="result IS NULL"),
)

record_identifier = Table(
    "record_identifier",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("record.appeal_id"), primary_key=True),
    Column("person", Text, primary_key=True, comment="applicant, affected1, ..."),
    Column("hash", LargeBinary, nullable=False, comment="keyed, of ИИН or БИН"),
    Index("ix_record_identifier_hash", "hash"),
)

#: When the appeal of a row of `record_search` was received, to be found by: the day in UTC, counted
#: from 2000, and its block of 16 days, as a negative number. See `search.query`.
DAYS: ColumnElement[list[int]] = literal_column(
    "ARRAY[(received_at AT TIME ZONE 'UTC')::date - '2000-01-01'::date, "
    "-1 - ((received_at AT TIME ZONE 'UTC')::date - '2000-01-01'::date) / 16]"
)

masking = Table(
    "masking",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), comment="whose data; none: it is a rule"),
    Column("kind", Text, comment="of a rule, see RuleScope"),
    Column("days", Integer, comment="of a rule: so long after the end"),
    *approval_columns("ended", " (a rule)"),
    CheckConstraint(
        "(appeal_id IS NULL) = (kind IS NOT NULL) AND (kind IS NULL) = (days IS NULL)",
        name="appeal_or_rule",
    ),
    Index(
        "uq_masking_asked",
        "appeal_id",
        unique=True,
        postgresql_where="state = 'asked' AND appeal_id IS NOT NULL",
    ),
    Index(
        "uq_masking_rule",
        "kind",
        "state",
        unique=True,
        postgresql_where="state IN ('asked', 'approved') AND kind IS NOT NULL",
    ),
)

masked = Table(
    "masked",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), primary_key=True),
    Column("masking_id", Uuid, ForeignKey("masking.id"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

saved_view = Table(
    "saved_view",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="the search, encrypted"),
    UniqueConstraint("user_name", "name"),
)

record_search = Table(
    "record_search",
    metadata,
    Column("appeal_id", Uuid, ForeignKey("record.appeal_id"), primary_key=True),
    Column(
        "terms",
        ARRAY(Text),
        nullable=False,
        comment="stems, folded names, numbers, hashes; by a trigger what is filtered by: =stage:x",
    ),
    Column("received_at", DateTime(timezone=True), nullable=False, comment="of the appeal"),
    Index(
        "ix_record_search_found",
        DAYS,  # first, for lists are crossed in this order
        "terms",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 512},
    ),
)

search_word = Table(
    "search_word",
    metadata,
    Column("word", Text, primary_key=True, comment="a stem or folded name that some appeal has"),
    Column("grams", ARRAY(Text), nullable=False, comment="its pieces of three letters"),
    Index("ix_search_word_grams", "grams", postgresql_using="gin"),
)
#: The words as a Russian keyboard spells them, by which they are found too.
RUSSIFIED_WORD = func.translate(
    search_word.c.word, text(f"'{KAZAKH_LETTERS}'"), text(f"'{RUSSIAN_LETTERS}'")
)
Index("ix_search_word_russified", RUSSIFIED_WORD)

record_field = Table(
    "record_field",
    metadata,
    Column("code", Text, primary_key=True),
    Column("section", Text, primary_key=True, comment="appeal or person"),
    Column("version", Integer, primary_key=True, comment="the highest is in force"),
    Column("type", Text, nullable=False),
    Column("guard", Text, nullable=False, comment="open, personal or sensitive"),
    Column("kk", Text, nullable=False),
    Column("ru", Text, nullable=False),
    Column("en", Text, nullable=False, comment="for pages of the staff"),
    Column("position", SmallInteger, nullable=False),
    Column("options", JSONB, nullable=False, comment="[{code, kk, ru, en, parent, active}]"),
    Column("active", Boolean, nullable=False),
    Column("built_in", Boolean, nullable=False),
    Column(
        "proposing",
        JSONB(none_as_null=True),
        comment="of a question of risk: codes of answers that propose urgency; none: another one",
    ),
    Column(
        "verified",
        Boolean,
        nullable=False,
        server_default="true",
        comment="a question of risk, by a psychologist",
    ),
    Column("author", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

record_preset = Table(
    "record_preset",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kk", Text, nullable=False),
    Column("ru", Text, nullable=False),
    Column("en", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="see AppealKind"),
    Column("answers", JSONB, nullable=False, comment="by field, the same for every applicant"),
    Column("active", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

law_term = Table(
    "law_term",
    metadata,
    Column("clock", Text, primary_key=True, comment="see DeadlineKind"),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date, comment="the last day, none: until further notice"),
    Column("length", SmallInteger, nullable=False),
    Column("unit", Text, nullable=False, comment="working_days or months"),
    Column("article", Text, nullable=False, comment="its source, as it is cited"),
    CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="valid"),
    CheckConstraint("length > 0", name="length"),
)

status_attempt = Table(
    "status_attempt",
    metadata,
    Column("scope", Text, primary_key=True, comment="appeal, caller or machine"),
    Column("key", Text, primary_key=True, comment="number of the appeal, or whoever asks"),
    Column("count", Integer, nullable=False, comment="since first_at, without those that fitted"),
    Column("first_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("scope IN ('appeal', 'caller', 'machine')", name="scope"),
    Index("ix_status_attempt_first_at", "first_at"),
)
