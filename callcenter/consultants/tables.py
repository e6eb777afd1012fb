"""Tables of consultants, their skills, the history of their states, and reference lists."""

from sqlalchemy import (
    ARRAY,
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
    Uuid,
    func,
)

from callcenter.platform.storage.metadata import metadata

consultant = Table(
    "consultant",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("extension", Text, nullable=False, unique=True, comment="SIP user name: 3-6 digits"),
    Column("name", Text, nullable=False),
    Column("languages", ARRAY(Text), nullable=False, comment="kk, ru: both or one"),
    Column("digest", Text, nullable=False, comment="MD5(extension:asterisk:password), RFC 2617"),
    Column("active", Boolean, nullable=False, server_default="true"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("team", Text, comment="whose supervisors hear its own"),
    Column(
        "in_browser",
        Boolean,
        nullable=False,
        server_default="false",
        comment="the telephone is the page of work, not a softphone",
    ),
    CheckConstraint("languages <@ ARRAY['kk', 'ru'] AND languages <> '{}'", name="languages"),
    CheckConstraint("extension ~ '^[0-9]{3,6}$'", name="extension"),
)

browser_telephone = Table(
    "browser_telephone",
    metadata,
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), primary_key=True),
    Column(
        "session_hash",
        LargeBinary,
        ForeignKey("web_session.token_hash", ondelete="CASCADE"),
        nullable=False,
        comment="of the session that this secret is of, and ends with",
    ),
    Column("digest", Text, nullable=False, comment="as that of a consultant; nobody types it"),
    Index("ix_browser_telephone_session_hash", "session_hash"),
)

consultant_state = Table(
    "consultant_state",
    metadata,
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), primary_key=True),
    Column(
        "at",
        DateTime(timezone=True),
        primary_key=True,
        comment="the distributor's clock, never twice",
    ),
    Column("state", Text, nullable=False, comment="from then on; see PresenceState"),
    Column("reason", Text, comment="of a pause, or of being signed out"),
    Column("changed_by", Text, nullable=False, comment="self, desk or user:NAME"),
    CheckConstraint(
        "state IN ('signed_out', 'ready', 'offered', 'ringing', 'talking', 'wrap_up', 'paused')",
        name="state",
    ),
)

pause_reason = Table(
    "pause_reason",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name_kk", Text, nullable=False),
    Column("name_ru", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default="true", comment="never deleted"),
    Column("key", SmallInteger, unique=True, comment="dialled after *12"),
    CheckConstraint(
        "code ~ '^[a-z][a-z_]{1,39}$' AND code NOT IN ('missed', 'page_gone')", name="code"
    ),
    CheckConstraint("key BETWEEN 1 AND 9", name="key"),
)

skill = Table(
    "skill",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name_kk", Text, nullable=False),
    Column("name_ru", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default="true", comment="never deleted"),
    CheckConstraint("code ~ '^[a-z][a-z_]{1,39}$'", name="code"),
)

consultant_skill = Table(
    "consultant_skill",
    metadata,
    Column("consultant_id", Uuid, ForeignKey("consultant.id"), primary_key=True),
    Column("skill", Text, ForeignKey("skill.code"), primary_key=True),
    Column("level", SmallInteger, nullable=False, comment="1 to 5, the best"),
    CheckConstraint("level BETWEEN 1 AND 5", name="level"),
)
