"""Hands what came through the portal to intake at once: a loop of the worker."""

import asyncio
import logging
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy.exc import DataError, IntegrityError

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.service import get_appeal
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.intake import service
from callcenter.intake.drivers.portal import store
from callcenter.intake.drivers.portal.opening import PORTAL, open_message
from callcenter.intake.drivers.portal.store import WaitingMessage
from callcenter.intake.rules.messages import WrittenMessage
from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import joined_unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.notify_listener import NotifyListener

log = logging.getLogger(__name__)

COLLECTOR = Actor(None, command=PORTAL)


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

    One that cannot be opened, or that intake refuses, waits on and keeps no other one waiting: an
    alert says that it does. Raises SQLAlchemyError, DependencyUnavailable.
    """
    unreadable: list[UUID] = []
    while await _collect_next(tools, unreadable):
        pass


async def _collect_next(tools: WorkerResources, unreadable: list[UUID]) -> bool:
    """Hand one message to intake, in one transaction; whether there was one."""
    async with joined_unit_of_work(tools.engine) as connection:
        waiting = await store.lock_next(connection, unreadable)
        if waiting is None:
            return False
        try:
            message = await asyncio.to_thread(_open, tools, waiting)
            receipt = await service.receive(
                tools.engine, RecordKeys.read(tools.settings), tools.settings, COLLECTOR, message
            )
        except (DecryptionFailed, InvalidRequest, DataError, IntegrityError) as exc:
            log.error("message of the portal not taken: %s: %s", waiting.id, type(exc).__name__)
            unreadable.append(waiting.id)
            return True
        appeal = await get_appeal(connection, receipt.number)
        await store.mark_taken(connection, waiting.id, appeal.id)
    return True


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
