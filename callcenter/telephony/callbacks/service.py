"""Service of callbacks and voicemail: a supervisor closes one, a listener marks it done."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow
from callcenter.consultants import store as consultants
from callcenter.platform.audit.store import has_entry
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.actions import RecordingAction
from callcenter.telephony.callbacks import store
from callcenter.telephony.callbacks.actions import CallbackAction
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.callbacks.store import Message


class MessageNotHeard(InvalidRequest):
    """Listen to the message first: nobody else will hear it once it is done."""


async def read_messages(connection: AsyncConnection, row: AppealRow) -> list[Message] | None:
    """Read the voicemail of an appeal that waits to be heard; None if there is none."""
    return await store.list_open_messages(connection, row.id) or None


async def finish_message(engine: AsyncEngine, actor: Actor, number: str, message_id: UUID) -> None:
    """Mark voicemail of an appeal as heard and done; a consultant who does so has the appeal.

    Raises NotFound unless it is open; MessageNotHeard for who has not played it, unless there is
    nothing to play.
    """
    async with unit_of_work(engine) as connection:
        row = await appeals.find(connection, number)
        message = (
            None if row is None else await store.find_open_message(connection, row.id, message_id)
        )
        if row is None or message is None:
            raise NotFound("no such message is open: look at the appeal again")
        if message.is_stored and not await has_entry(
            connection,
            who=actor.who,
            action=RecordingAction.RECORDING_LISTENED,
            subject=f"recording:{message_id}",
        ):
            raise MessageNotHeard
        now = datetime.now(UTC)
        await store.end(connection, message_id, CallbackState.DONE, now, by=actor.who)
        own = actor.user and await consultants.extension_of_user(connection, actor.user.id)
        if own:
            consultant_id = await consultants.id_of(connection, own)
            await appeals.set_consultant(connection, appeal_id=row.id, consultant_id=consultant_id)
        await appeals.append_event(
            connection,
            appeal_id=row.id,
            at=now,
            kind=store.MESSAGE_DONE,
            detail={"consultant": own} if own else {"by": actor.who},
        )
        await audit_action(connection, actor, CallbackAction.MESSAGE_DONE, f"promise:{message_id}")


async def close(engine: AsyncEngine, actor: Actor, promise_id: UUID) -> None:
    """Close a callback or voicemail; a call in progress continues.

    Raises NotFound unless it is open.
    """
    async with unit_of_work(engine) as connection:
        now = datetime.now(UTC)
        if not await store.end(connection, promise_id, CallbackState.CLOSED, now, by=actor.who):
            raise NotFound("no such callback is open: look at the list again")
        await audit_action(
            connection, actor, CallbackAction.PROMISE_CLOSED, f"promise:{promise_id}"
        )
