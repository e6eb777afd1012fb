"""Orphaned objects: sealed recordings whose row is lost, bound to their call again.

A row is lost when the database goes back in time after it was written, by a failover or a restore.
The object says itself whose it is (`recordings.sealing.tag`).
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import ObjectStoreUnavailable
from callcenter.recordings import store as recordings
from callcenter.recordings.formats import format_of
from callcenter.recordings.sealing.sealed_store import (
    SealedRecording,
    SealedStore,
    name_for,
    read_name,
)
from callcenter.recordings.sealing.spool import read_name as read_spool_name
from callcenter.recordings.sealing.tag import RecordingTag
from callcenter.recordings.store import NewRecording
from callcenter.telephony.reconciliation import store
from callcenter.telephony.reconciliation.actions import ReconciliationAction
from callcenter.telephony.reconciliation.orphaned_files import add_recording_events

log = logging.getLogger(__name__)

RECONCILIATION = Actor(None, command="reconciliation")


class Unattributable(OperationFailed):
    """The owner of an object cannot be proved: somebody must look at it."""


class Adoption(NamedTuple):
    """The fate of an orphaned object: bound to its call, or left and why."""

    name: str
    appeal_id: UUID | None
    why: str = ""


async def adopt_since(tools: WorkerResources, since: date, actor: Actor) -> list[Adoption]:
    """Adopt the orphaned objects of recordings that began on that day (UTC) or later.

    Repeatable, safe to kill. Raises DependencyUnavailable, ObjectStoreUnavailable.
    """
    sealed_store, done = SealedStore(tools.settings), []
    for day in _days(since, datetime.now(UTC).date()):
        listed = await asyncio.to_thread(sealed_store.list_day, day)
        names = [each.name for each in listed]
        async with unit_of_work(tools.engine) as connection:
            orphans = await filter_orphaned(connection, names)
        for name in orphans:
            try:
                done.append(Adoption(name, await adopt(tools, name, actor)))
            except ObjectStoreUnavailable:
                raise
            except OperationFailed as exc:
                done.append(Adoption(name, None, str(exc)))
    return done


async def filter_orphaned(connection: AsyncConnection, names: Sequence[str]) -> list[str]:
    """The objects of these that no recording of the register has."""
    ids = {name: read_name(name) for name in names}
    registered = await recordings.registered_ids(connection, filter(None, ids.values()))
    return [name for name, recording_id in ids.items() if recording_id not in registered]


async def adopt(tools: WorkerResources, name: str, actor: Actor) -> UUID:
    """Enter the row of an orphaned object as its tag says; returns its appeal.

    With events of the appeal and an entry in the audit log. Raises Unattributable, and what
    `SealedStore.inspect` raises.
    """
    sealed = await asyncio.to_thread(SealedStore(tools.settings).inspect, name)
    tag = _tag_of(sealed)
    async with unit_of_work(tools.engine) as connection:
        appeal_id = await _find_appeal(connection, tag)
        everyone = {each.id for each in await consultants.everyone(connection)}
        consultant_id = tag.consultant_id if tag.consultant_id in everyone else None
        begun = NewRecording(
            tag.recording_id, appeal_id, consultant_id, tag.spool_name, tag.started_at
        )
        ended_at = tag.ended_at or tag.started_at + timedelta(milliseconds=sealed.duration_ms)
        if not await recordings.adopt(connection, begun, ended_at, sealed.result(tag.recording_id)):
            raise Unattributable(f"the register has {tag.spool_name} with another recording")
        await add_recording_events(
            connection, appeal_id, tag.recording_id, tag.started_at, ended_at
        )
        await audit_action(
            connection,
            actor,
            ReconciliationAction.RECORDING_ADOPTED,
            f"recording:{tag.recording_id}",
            {"appeal": str(appeal_id), "sha256": sealed.facts.sha256},
        )
    log.warning("orphaned object bound to its call, recording %s", tag.recording_id)
    return appeal_id


def _tag_of(sealed: SealedRecording) -> RecordingTag:
    if sealed.tag is None:
        raise Unattributable("it was sealed before recordings had tags")
    if sealed.name != name_for(
        sealed.tag.recording_id, sealed.tag.started_at, format_of(sealed.name)
    ):
        raise Unattributable(f"it is recording {sealed.tag.recording_id} under another name")
    return sealed.tag


async def _find_appeal(connection: AsyncConnection, tag: RecordingTag) -> UUID:
    """The appeal in the tag, else the one that was opened again for its call from CEL."""
    if await appeals.find_by_id(connection, tag.appeal_id) is not None:
        return tag.appeal_id
    call_id, _ = read_spool_name(tag.spool_name)
    ended = await store.find_ended(connection, call_id or "")
    if ended is None:
        raise Unattributable(f"the register has neither appeal {tag.appeal_id} nor call {call_id}")
    return ended[0]


def _days(since: date, until: date) -> Iterator[date]:
    while since <= until:
        yield since
        since += timedelta(days=1)
