"""The room of callbacks and voicemail: what it registers."""

from datetime import datetime

from sqlalchemy import ColumnElement, exists
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.sections import CallSection
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.extensions import CallerDetails
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.table_rights import TableRights
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.playback.access import AudibleRecordings
from callcenter.telephony.callbacks import store
from callcenter.telephony.callbacks.actions import CallbackAction
from callcenter.telephony.callbacks.rules import CALLBACK_WAY, CallbackKind, CallbackState
from callcenter.telephony.callbacks.service import read_messages
from callcenter.telephony.callbacks.tables import promise


def _is_open(_now: datetime) -> ColumnElement[bool]:
    """The caller is to be called back, or left a message that nobody heard."""
    return exists().where(
        promise.c.appeal_id == appeal.c.id, promise.c.state == CallbackState.OPEN.value
    )


def _has_message(_reader: WorkListReader) -> ColumnElement[bool]:
    """The caller left a message that nobody has marked as done."""
    return exists().where(
        promise.c.appeal_id == appeal.c.id,
        promise.c.kind == CallbackKind.MESSAGE.value,
        promise.c.state == CallbackState.OPEN.value,
    )


def _is_to_call_back(_reader: WorkListReader) -> ColumnElement[bool]:
    """The caller was promised to be called back."""
    return exists().where(
        promise.c.appeal_id == appeal.c.id,
        promise.c.kind == CallbackKind.CALLBACK.value,
        promise.c.state == CallbackState.OPEN.value,
    )


async def _caller_details(connection: AsyncConnection, number: str) -> list[tuple[str, str]]:
    """Name the messages of a caller that nobody has marked as done, by their appeals."""
    return [
        (N_("Message to hear"), f"{of_appeal}, {left_at.astimezone(ZONE):%d.%m.%Y %H:%M}")
        for of_appeal, left_at in await store.list_messages_of_caller(connection, number)
    ]


ROOM = Room(
    name="callbacks",
    web="callcenter.telephony.callbacks.web_module",
    offers=(
        *CallbackAction,
        CALLBACK_WAY,
        CallSection("callbacks/messages.html", RecordingPermission.LISTEN, read_messages),
        AudibleRecordings(store.messages_heard_by),
        CallerDetails(_caller_details),
        WorkList(55, "messages", N_("Messages to hear"), _has_message, is_pressing=True),
        WorkList(60, "callback", N_("To call back"), _is_to_call_back),
        RetentionReason("owed", N_("They stay: the caller is to be called back."), _is_open),
        # An open callback needs its number.
        PersonalDataPart(
            promise,
            ("number",),
            key="promised",
            label=N_("Numbers that were promised a call: %(count)s"),
            of=promise.c.appeal_id.in_,
            is_personal=(promise.c.number != "") & (promise.c.state != CallbackState.OPEN.value),
            erased={"number": ""},
        ),
        TableRights(promise, controller="siu", worker="su", web="su"),
    ),
)
