"""The authority's written demands (R17), their letters, steps and the recordings they mean."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from callcenter.demands.states import RUNNING
from callcenter.storage.metadata import metadata

#: Demands whose time runs; also the condition of an index.
IS_RUNNING = f"state IN ({', '.join(sorted(repr(state.value) for state in RUNNING))})"

demand = Table(
    "demand",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True, comment="ours: year and sequence"),
    Column("state", Text, nullable=False, comment="see demands.states.State"),
    Column("version", Integer, nullable=False, comment="of the last step: what a person saw"),
    Column("sender_kk", Text, nullable=False, comment="the body's name when it wrote the letter"),
    Column("sender_ru", Text, nullable=False),
    Column("from_authority", Boolean, nullable=False, comment="the authorised body of R17"),
    Column("letter_number", Text, nullable=False),
    Column("letter_date", Date, nullable=False),
    Column("ground", Text, nullable=False, comment="the legal ground that the letter names"),
    Column("signatory", Text, nullable=False, comment="who signed the letter"),
    Column("came_by", Text, nullable=False, comment="paper, electronic or pages"),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("appeal_number", Text, comment="what is demanded: ten digits"),
    Column("caller_number", Text, comment="personal data: E.164, or a short number"),
    Column("extension", Text, comment="of the consultant"),
    Column("since", DateTime(timezone=True)),
    Column("until", DateTime(timezone=True)),
    Column("unit", Text, nullable=False, comment="of the time it sets, see demands.terms.Unit"),
    Column("count", SmallInteger),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("warn_at", DateTime(timezone=True), nullable=False),
    Column("warned_at", DateTime(timezone=True), comment="when the alarm before due_at was raised"),
    Column("overdue_at", DateTime(timezone=True), comment="when the last alarm after it was"),
    Column("hand_over_by", Text, nullable=False, comment="download or carrier, as the letter asks"),
    Column("refusal", Text, comment="see demands.states.Ground"),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, who registered it"),
    CheckConstraint("came_by IN ('paper', 'electronic', 'pages')", name="came_by"),
    CheckConstraint("hand_over_by IN ('download', 'carrier')", name="hand_over_by"),
    CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="refusal"),
    CheckConstraint("(since IS NULL) = (until IS NULL)", name="range"),
    Index("ix_demand_due_at", "due_at", postgresql_where=IS_RUNNING),
    Index("ix_demand_registered_at", "registered_at"),
)

demand_scan = Table(
    "demand_scan",
    metadata,
    Column("demand_id", Uuid, ForeignKey("demand.id"), primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("sha256", Text, nullable=False, comment="hexadecimal"),
    Column("content", LargeBinary, nullable=False, comment="the scan of the letter"),
)

demand_step = Table(
    "demand_step",
    metadata,
    Column("demand_id", Uuid, ForeignKey("demand.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="1 is the registration"),
    Column("step", Text, nullable=False, comment="see demands.states.Step"),
    Column("state", Text, nullable=False, comment="after it"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME"),
    Column("reason", Text, nullable=False),
)

demand_recording = Table(
    "demand_recording",
    metadata,
    Column("demand_id", Uuid, ForeignKey("demand.id"), primary_key=True),
    Column("recording_id", Uuid, ForeignKey("recording.id"), primary_key=True),
    Column("reasons", ARRAY(Text), nullable=False, comment="see demands.matching.Reason"),
    Column("chosen", Boolean, nullable=False, comment="to be handed over"),
    Index("ix_demand_recording_recording_id", "recording_id"),
)

demand_counter = Table(
    "demand_counter",
    metadata,
    Column("year", SmallInteger, primary_key=True, comment="two digits, by Asia/Almaty"),
    Column("last", Integer, nullable=False, comment="last sequence number given in this year"),
)
