"""Hands what came through the portal to intake at once: a loop of the worker."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.service import get_appeal
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.intake import service
from callcenter.intake.drivers.portal import store
from callcenter.intake.drivers.portal.opening import PORTAL, open_message
from callcenter.intake.drivers.portal.store import WaitingMessage
from callcenter.intake.rules.messages import WrittenMessage
from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest, OperationFailed
from callcenter.platform.core.secrets import SecretMissing
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import joined_unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.notify_listener import NotifyListener

log = logging.getLogger(__name__)

COLLECTOR = Actor(None, command=PORTAL)

#: Faults of a message itself, which are the same a second later, unless a key comes back. Who took
#: the portal over can send any number of such.
THEIR_OWN = (DecryptionFailed, InvalidRequest, DataError, IntegrityError)
RETRY_INTERVAL = timedelta(minutes=5)  # of those


async def run_collector(tools: WorkerResources, _redis: Redis) -> None:
    """Collect each message when it comes, until cancelled."""
    listener = NotifyListener(tools.settings)
    messages = listener.subscribe(store.CHANNEL)

    async def act() -> None:
        await collect(tools)

    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run())
        group.create_task(messages.follow(act, "messages of the portal not taken"))


async def collect(tools: WorkerResources) -> None:
    """Hand all messages that wait to intake; those in danger first.

    One that cannot be taken, whatever is in it, waits on behind all that were never tried: an alert
    says that it does. Raises SQLAlchemyError, DependencyUnavailable, SecretMissing; OperationFailed
    when one failed for another reason than itself.
    """
    began, faults = datetime.now(UTC), list[str]()
    while await _collect_next(tools, began, faults):
        pass
    if faults:
        raise OperationFailed(", ".join(sorted(set(faults))))


async def _collect_next(tools: WorkerResources, began: datetime, faults: list[str]) -> bool:
    """Hand one message to intake, in one transaction; whether there was one."""
    async with joined_unit_of_work(tools.engine) as connection:
        waiting = await store.lock_next(connection, began)
        if waiting is None:
            return False
        try:
            message = await asyncio.to_thread(_open, tools, waiting)
            async with connection.begin_nested():
                await _hand_over(tools, connection, waiting, message)
        except (DependencyUnavailable, SecretMissing):
            raise
        except Exception as exc:  # one message must not stop all others
            is_own, kind = isinstance(exc, THEIR_OWN), type(exc).__name__
            if not waiting.was_tried:
                log.error(
                    "message of the portal not taken: %s: %s", waiting.id, kind, exc_info=not is_own
                )
            if not is_own:
                faults.append(kind)
            until = began + RETRY_INTERVAL if is_own else began
            await store.put_behind(connection, waiting.id, until)
    return True


async def _hand_over(
    tools: WorkerResources,
    connection: AsyncConnection,
    waiting: WaitingMessage,
    message: WrittenMessage,
) -> None:
    receipt = await service.receive(
        tools.engine, RecordKeys.read(tools.settings), tools.settings, COLLECTOR, message
    )
    appeal = await get_appeal(connection, receipt.number)
    await store.mark_taken(connection, waiting.id, appeal.id)


def _open(tools: WorkerResources, waiting: WaitingMessage) -> WrittenMessage:
    """The message as intake takes it: one of its form's conversation."""
    written = open_message(tools.settings.keys, waiting.id, waiting.sealed)
    return WrittenMessage(
        source=PORTAL,
        message_id=str(waiting.id),
        thread=str(waiting.form),
        channel=ContactChannel.PORTAL,
        language=written.language,
        received_at=waiting.received_at,
        text=written.text,
        is_urgent=waiting.is_urgent,
        number=waiting.number,
    )
