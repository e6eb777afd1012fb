"""Users, their second factors, sessions and sign-in attempts; API clients."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from callcenter.platform.storage.metadata import metadata

web_user = Table(
    "web_user",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="what is typed to sign in"),
    Column("password_hash", Text, nullable=False, comment="argon2id, PHC string; empty: none fits"),
    Column("role", Text, nullable=False, comment="see Role"),
    Column("active", Boolean, nullable=False, server_default="true", comment="never deleted"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "consultant_id",
        Uuid,
        ForeignKey("consultant.id"),
        unique=True,
        comment="the consultant that this person is",
    ),
    Column("full_name", Text, comment="surname and initials, as on receipts"),
    Column("position", Text, comment="as on receipts"),
    Column(
        "entitled",
        Boolean,
        nullable=False,
        server_default="true",
        comment="false: in no group of the organisation's sign-in when last heard of there",
    ),
    CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{1,39}$'", name="name"),
)

web_identity = Table(
    "web_identity",
    metadata,
    Column("issuer", Text, primary_key=True, comment="of the OpenID Connect provider"),
    Column("subject", Text, primary_key=True, comment="who it is there, for ever"),
    Column("user_id", Uuid, ForeignKey("web_user.id"), nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("refresh_token", LargeBinary, comment="encrypted; by it the provider is asked again"),
    Column(
        "confirmed_at",
        DateTime(timezone=True),
        comment="when the provider last said that the person is in a group of ours",
    ),
    Column("checked_at", DateTime(timezone=True), comment="when it was last asked"),
)

web_session = Table(
    "web_session",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the cookie's token"),
    Column("user_id", Uuid, ForeignKey("web_user.id"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, comment="to the minute"),
    Index("ix_web_session_user_id", "user_id"),
    Index("ix_web_session_created_at", "created_at"),
)

sign_in_entrance = Table(
    "sign_in_entrance",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the cookie's token"),
    Column("user_id", Uuid, ForeignKey("web_user.id"), nullable=False),
    Column(
        "created_at",
        DateTime(timezone=True),
        nullable=False,
        comment="when the password was right, before the second factor",
    ),
    Index("ix_sign_in_entrance_user_id", "user_id"),
    Index("ix_sign_in_entrance_created_at", "created_at"),
)

invitation = Table(
    "invitation",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the link's token"),
    Column(
        "user_id",
        Uuid,
        ForeignKey("web_user.id"),
        comment="who chooses a password by it; none: the first administrator, who is added by it",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("uq_invitation_user_id", "user_id", unique=True, postgresql_nulls_not_distinct=True),
    Index("ix_invitation_created_at", "created_at"),
)

second_factor = Table(
    "second_factor",
    metadata,
    Column("user_id", Uuid, ForeignKey("web_user.id"), primary_key=True),
    Column("secret", LargeBinary, nullable=False, comment="of TOTP, encrypted"),
    Column("last_step", BigInteger, nullable=False, comment="of the last code that was accepted"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column(
        "user_id",
        Uuid,
        ForeignKey("second_factor.user_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("code_hash", LargeBinary, primary_key=True, comment="SHA-256; a used one is deleted"),
)

sign_in_attempt = Table(
    "sign_in_attempt",
    metadata,
    Column(
        "scope",
        Text,
        primary_key=True,
        comment="what is counted: see Scope",
    ),
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of what is counted"),
    Column("count", Integer, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("scope IN ('name', 'address', 'network', 'device', 'code')", name="scope"),
    Index("ix_sign_in_attempt_last_at", "last_at"),
)

sign_in_device = Table(
    "sign_in_device",
    metadata,
    Column(
        "token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the token of a browser"
    ),
    Column("user_id", Uuid, ForeignKey("web_user.id"), primary_key=True),
    Column(
        "seen_at",
        DateTime(timezone=True),
        nullable=False,
        comment="the user's last sign-in there",
    ),
    Index("ix_sign_in_device_user_id", "user_id"),
    Index("ix_sign_in_device_seen_at", "seen_at"),
)

refusal_count = Table(
    "refusal_count",
    metadata,
    Column("who", Text, primary_key=True, comment="user:NAME or machine:NAME"),
    Column("since", DateTime(timezone=True), nullable=False, comment="the first one"),
    Column("count", Integer, nullable=False),
)

machine = Table(
    "machine",
    metadata,
    Column("name", Text, primary_key=True, comment="of a program that may ask, as the portal"),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of its token"),
    Column(
        "scopes",
        ARRAY(Text),
        nullable=False,
        server_default="{status.ask}",
        comment="permissions that the token has, of those of programs",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seen_at", DateTime(timezone=True), comment="to the minute"),
    Column("revoked_at", DateTime(timezone=True), comment="never deleted: it is in the audit log"),
    CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{1,39}$'", name="name"),
)

answered_request = Table(
    "answered_request",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True, comment="SHA-256 of who and Idempotency-Key"),
    Column("request_hash", LargeBinary, nullable=False, comment="of the request, keyed by the key"),
    Column("answer", JSONB, nullable=False, comment="as it is given again; nothing personal"),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_answered_request_at", "at"),
)
