"""Tables of urgent notifications of state bodies, and of their steps."""

from sqlalchemy import (
    CheckConstraint,
    Column,
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

from callcenter.appeals.calls.tables import appeal
from callcenter.bodies.tables import body
from callcenter.platform.storage.metadata import metadata

urgent_notification = Table(
    "urgent_notification",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("appeal_id", Uuid, ForeignKey(appeal.c.id), nullable=False),
    Column("body", Text, ForeignKey(body.c.code), nullable=False),
    Column("state", Text, nullable=False, comment="see NotificationState"),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, who began it"),
    Column("ordered_at", DateTime(timezone=True), comment="a call; none: that is over"),
    Column("escalated", SmallInteger, nullable=False, comment="levels so far, by the clock"),
    Column("taken_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("(state IN ('calling', 'taken')) = (ended_at IS NULL)", name="ended"),
    CheckConstraint(
        "taken_at IS NOT NULL OR state IN ('calling', 'withdrawn')",
        name="taken",
    ),
    Index("ix_urgent_notification_appeal_id", "appeal_id", "begun_at"),
    Index("ix_urgent_notification_open", "begun_at", postgresql_where="ended_at IS NULL"),
)

urgent_notification_step = Table(
    "urgent_notification_step",
    metadata,
    Column("notification_id", Uuid, ForeignKey(urgent_notification.c.id), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="1 is the first"),
    Column("step", Text, nullable=False, comment="see NotificationStep"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("author", Text, nullable=False, comment="user:NAME, or system:urgent_notifications"),
    Column("called", Text, comment="the first number of a call: of the body, E.164 or short"),
    Column(
        "sealed", LargeBinary, comment="name, post and reason, encrypted; none: erased, or none"
    ),
)
