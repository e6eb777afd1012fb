"""Recordings, one row for each conversation of a consultant; holds and erasures."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)

from callcenter.platform.identity.approvals import approval_columns
from callcenter.platform.storage.metadata import metadata

#: What people have to look at: it failed, or lasts two seconds more or less than its conversation.
IS_QUARANTINED = (
    "dealt_with_at IS NULL AND (state = 'failed' OR state = 'stored' AND"
    " abs(extract(epoch FROM ended_at - started_at) * 1000 - duration_ms) > 2000)"
)

recording = Table(
    "recording",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey("appeal.id"), nullable=False),
    Column("consultant_id", Uuid, ForeignKey("consultant.id")),
    Column("spool_name", Text, nullable=False, unique=True, comment="file that the switch writes"),
    Column(
        "state", Text, nullable=False, comment="recording, closed, stored, failed, empty or erased"
    ),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("store_name", Text, unique=True, comment="object in the store, once stored"),
    Column("sha256", Text, comment="of the stored object, hexadecimal"),
    Column("bytes", BigInteger, comment="size of the stored object"),
    Column("audio_sha256", Text, comment="of the audio file in it, as it is opened and given out"),
    Column("audio_bytes", BigInteger, comment="size of that audio file"),
    Column("sealed_to", Text, comment="the center's public key that it was sealed to (age1...)"),
    Column("sealed_at", DateTime(timezone=True), comment="when the register knew of the object"),
    Column("duration_ms", Integer, comment="length of the audio"),
    Column("copied_at", DateTime(timezone=True), comment="since then it is in the second store"),
    Column("fault", Text, comment="why it failed, or what was left out, for the records officer"),
    Column(
        "dealt_with_at",
        DateTime(timezone=True),
        comment="somebody saw to what is wrong with it, see the audit log",
    ),
    Column("call_outcome", Text, comment="of the appeal, by a trigger: to find it by"),
    Column("call_language", Text, comment="the same of the language"),
    CheckConstraint(
        "state IN ('recording', 'closed', 'stored', 'failed', 'empty', 'erased')", name="state"
    ),
    CheckConstraint("(state IN ('stored', 'erased')) = (sha256 IS NOT NULL)", name="stored"),
    Index("ix_recording_appeal_id", "appeal_id"),
    # Finding recordings, the newest first: see appeals.recordings.queries.
    Index("ix_recording_started_at", "started_at", "id", postgresql_where=text("state = 'stored'")),
    Index(
        "ix_recording_consultant_id",
        "consultant_id",
        "started_at",
        "id",
        "call_language",
        "call_outcome",
        postgresql_where=text("state = 'stored'"),
    ),
    Index(
        "ix_recording_call_language",
        "call_language",
        "started_at",
        "id",
        postgresql_where=text("state = 'stored'"),
    ),
    Index("ix_recording_duration_ms", "duration_ms", postgresql_where=text("state = 'stored'")),
    Index(
        "ix_recording_call_outcome",
        "call_outcome",
        "started_at",
        "id",
        postgresql_where=text("state = 'stored'"),
    ),
    Index("ix_recording_aside", "started_at", postgresql_where=text(IS_QUARANTINED)),
    # What a worker has still to remove, or to seal.
    Index(
        "ix_recording_to_remove",
        "id",
        postgresql_where=text("state = 'erased' AND store_name IS NOT NULL"),
    ),
    Index(
        "ix_recording_plain", "id", postgresql_where=text("state = 'stored' AND sealed_to IS NULL")
    ),
    # What has still to be copied to the second store, if there is one.
    Index(
        "ix_recording_to_copy",
        "ended_at",
        "id",
        postgresql_where=text("state = 'stored' AND copied_at IS NULL"),
    ),
    # The queue of those who keep recordings.
    Index("ix_recording_closed", "ended_at", postgresql_where=text("state = 'closed'")),
)

recording_hold = Table(
    "recording_hold",
    metadata,
    Column("recording_id", Uuid, ForeignKey("recording.id"), primary_key=True),
    Column("reason", Text, primary_key=True, comment="such as demand:26-0001"),
    Column("held_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), comment="while it is null, retention waits"),
    Index("ix_recording_hold_reason", "reason"),
)

recording_erasure = Table(
    "recording_erasure",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("recording_id", Uuid, ForeignKey("recording.id"), nullable=False),
    Column("order", Text, comment="the order that it follows: number and date"),
    *approval_columns("done"),
    Index(
        "uq_recording_erasure_asked",
        "recording_id",
        unique=True,
        postgresql_where=text("state = 'asked'"),
    ),
    Index("ix_recording_erasure_recording_id", "recording_id"),
)
