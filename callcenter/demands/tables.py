"""The authority's written demands (R17): letters, steps, matches, keys and disclosures."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
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
    UniqueConstraint,
    Uuid,
)

from callcenter.demands.rules.states import RUNNING
from callcenter.platform.storage.metadata import metadata

#: Demands whose time runs; also the condition of an index.
IS_RUNNING = f"state IN ({', '.join(sorted(repr(state.value) for state in RUNNING))})"

demand = Table(
    "demand",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True, comment="ours: year and sequence"),
    Column("state", Text, nullable=False, comment="see DemandState"),
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
    Column("appeal_number", Text, comment="what is demanded: digits"),
    Column("caller_number", Text, comment="personal data: E.164, or a short number"),
    Column("extension", Text, comment="of the consultant"),
    Column("since", DateTime(timezone=True)),
    Column("until", DateTime(timezone=True)),
    Column("unit", Text, nullable=False, comment="of the time it sets, see DemandTimeUnit"),
    Column("count", SmallInteger),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("warn_at", DateTime(timezone=True), nullable=False),
    Column("warned_at", DateTime(timezone=True), comment="when the alarm before due_at was raised"),
    Column("overdue_at", DateTime(timezone=True), comment="when the last alarm after it was"),
    Column("hand_over_by", Text, nullable=False, comment="download or carrier, as the letter asks"),
    Column("refusal", Text, comment="see RefusalGround"),
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
    Column("step", Text, nullable=False, comment="see DemandStep"),
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
    Column("reasons", ARRAY(Text), nullable=False, comment="see MatchReason"),
    Column("chosen", Boolean, nullable=False, comment="to be handed over"),
    Index("ix_demand_recording_recording_id", "recording_id"),
)

demand_counter = Table(
    "demand_counter",
    metadata,
    Column("year", SmallInteger, primary_key=True, comment="two digits, by Asia/Almaty"),
    Column("last", Integer, nullable=False, comment="last sequence number given in this year"),
)

authority_key = Table(
    "authority_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("recipient", Text, nullable=False, unique=True, comment="public key of age: age1..."),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("added_by", Text, nullable=False, comment="user:NAME"),
    Column("confirmed_at", DateTime(timezone=True), comment="compared with the authority"),
    Column("confirmed_by", Text, comment="user:NAME, another"),
    Column("revoked_at", DateTime(timezone=True), comment="nothing is encrypted to it any more"),
    CheckConstraint("(confirmed_at IS NULL) = (confirmed_by IS NULL)", name="confirmed"),
    CheckConstraint("confirmed_by <> added_by", name="two_people"),
)

signing_key = Table(
    "signing_key",
    metadata,
    Column(
        "fingerprint",
        Text,
        primary_key=True,
        comment="SHA-256 of the public part, as letters name it",
    ),
    Column(
        "told_at",
        DateTime(timezone=True),
        nullable=False,
        comment="since then the authority knows it",
    ),
)

disclosure = Table(
    "disclosure",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("demand_id", Uuid, ForeignKey("demand.id"), nullable=False),
    Column("ordinal", Integer, nullable=False, comment="1 is the first release of the demand"),
    Column("key_id", Uuid, ForeignKey("authority_key.id"), nullable=False),
    Column("prepared_by", ARRAY(Text), nullable=False, comment="user:NAME"),
    Column("released_by", Text, nullable=False, comment="user:NAME, none of prepared_by"),
    Column("released_at", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False, comment="to be taken until then"),
    Column("built_at", DateTime(timezone=True), comment="since then the bundle is in the store"),
    Column(
        "made_percent",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="how much of the bundle was packed when last noted",
    ),
    Column("sha256", Text, comment="of the bundle, hexadecimal"),
    Column("bytes", BigInteger, comment="size of the bundle"),
    Column("taken_at", DateTime(timezone=True), comment="when it was handed out: once"),
    Column("taken_by", Text, comment="user:NAME"),
    Column("removed_at", DateTime(timezone=True), comment="when the bundle left the store"),
    UniqueConstraint("demand_id", "ordinal"),
    CheckConstraint("released_by <> ALL (prepared_by)", name="two_people"),
    CheckConstraint("(built_at IS NULL) = (sha256 IS NULL)", name="built"),
    CheckConstraint("taken_at IS NULL OR built_at IS NOT NULL", name="taken"),
    Index("ix_disclosure_kept", "released_at", postgresql_where="removed_at IS NULL"),
)

authority_address = Table(
    "authority_address",
    metadata,
    Column("user_id", Uuid, ForeignKey("web_user.id"), primary_key=True),
    Column("address", Text, nullable=False, comment="personal data: where mail goes"),
    Column("language", Text, nullable=False, comment="of the mail: kk, ru or en"),
)

demand_notice = Table(
    "demand_notice",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("demand_id", Uuid, ForeignKey("demand.id"), nullable=False),
    Column("matter", Text, nullable=False, comment="see DemandMatter; ready also with ordinal"),
    Column("user_id", Uuid, ForeignKey("web_user.id"), nullable=False, comment="who is told"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), comment="the server took it on, or refused it"),
    UniqueConstraint("demand_id", "matter", "user_id"),
    Index("ix_demand_notice_waiting", "created_at", postgresql_where="ended_at IS NULL"),
)
