"""Users who open many appeals or recordings of others' work, by the audit log."""

from datetime import datetime, timedelta

from sqlalchemy import CTE, ColumnElement, Uuid, and_, case, cast, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.tables import appeal, outgoing_call
from callcenter.appeals.tables import record
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.tables import web_user
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.tables import recording

#: Similar appeals are searched while somebody types into one: that is in the log without a change.
READING = (
    AppealAction.APPEAL_VIEWED.value,
    AppealAction.ATTACHMENT_READ.value,
    AppealAction.APPEALS_SEARCHED.value,
)
#: Its subject is the recording.
LISTENING = RecordingAction.RECORDING_LISTENED.value
USER, APPEAL, RECORDING = "user:", "appeal:", "recording:"  # before their names in the log
WINDOW = timedelta(hours=1)


async def find_bulk_readers(
    connection: AsyncConnection, now: datetime, threshold: int
) -> list[str]:
    """Return users, as `user:NAME`, who opened that many appeals within the window, or more.

    To hear a recording is to open its appeal.
    Not counted are appeals of callers with whom they have talked, which they answer for, or on
    which they did more than read within the same time: that is work. Lists open no appeal.
    """
    within = and_(audit_entry.c.at > now - WINDOW, audit_entry.c.at <= now)
    by_user = and_(within, audit_entry.c.who.startswith(USER))
    read = select(audit_entry.c.who, audit_entry.c.subject).where(
        by_user, audit_entry.c.action.in_(READING)
    )
    # Within a CASE, so that no subject of another action is read as an id.
    identity = cast(func.substr(audit_entry.c.subject, len(RECORDING) + 1), Uuid)
    heard_id = case((audit_entry.c.action == LISTENING, identity))
    heard = (
        select(audit_entry.c.who, APPEAL + appeal.c.number)
        .join(recording, recording.c.id == heard_id)
        .join(appeal, appeal.c.id == recording.c.appeal_id)
        .where(by_user, audit_entry.c.action == LISTENING)
    )
    opened = union(read, heard).cte("opened")
    is_many = func.count() >= threshold
    found = await connection.scalars(select(opened.c.who).group_by(opened.c.who).having(is_many))
    if not (many := found.all()):
        return []
    query = (
        select(opened.c.who)
        .join(appeal, appeal.c.number == func.substr(opened.c.subject, len(APPEAL) + 1))
        .join(web_user, web_user.c.name == func.substr(opened.c.who, len(USER) + 1))
        .where(opened.c.who.in_(many), ~_is_their_work(opened, within))
        .group_by(opened.c.who)
        .having(is_many)
        .order_by(opened.c.who)
    )
    return list(await connection.scalars(query))


def _is_their_work(opened: CTE, within: ColumnElement[bool]) -> ColumnElement[bool]:
    """Condition: who opened this appeal has to do with it."""
    changed = (
        select(audit_entry.c.id)
        .where(
            within,
            audit_entry.c.subject == opened.c.subject,
            audit_entry.c.who == opened.c.who,
            audit_entry.c.action.not_in(READING),
        )
        .exists()
    )
    own = appeal.alias("own")
    talked = (
        select(own.c.id)
        .where(
            own.c.consultant_id == web_user.c.consultant_id,
            or_(own.c.id == appeal.c.id, own.c.caller_number == appeal.c.caller_number),
        )
        .exists()
    )
    called = (
        select(outgoing_call.c.id)
        .where(
            outgoing_call.c.consultant_id == web_user.c.consultant_id,
            outgoing_call.c.appeal_id == appeal.c.id,
        )
        .exists()
    )
    owned = (
        select(record.c.appeal_id)
        .where(record.c.appeal_id == appeal.c.id, record.c.owner == web_user.c.name)
        .exists()
    )
    return or_(changed, talked, called, owned)
