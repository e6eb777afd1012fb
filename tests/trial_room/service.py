"""Promises trees to callers and plants them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.appeals.form.store import read_form
from callcenter.appeals.record import search_index
from callcenter.appeals.record import store as records
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store as recordings
from callcenter.recordings.extensions import HoldKind
from callcenter.recordings.retention import store as retention
from tests.trial_room import store
from tests.trial_room.actions import GardenAction
from tests.trial_room.permissions import GardenPermission
from tests.trial_room.store import Tree

BY_PROMISE = HoldKind("garden", "Held in the garden:", GardenPermission.TEND, "/garden/")


async def promise(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, whom: str
) -> None:
    """Promise a tree, and hold the recordings of the appeal until it is planted.

    Raises NotFound.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        await store.insert_new(connection, row.id, whom, actor.who)
        recorded = [each.id for each in await recordings.of_appeal(connection, row.id)]
        await retention.hold(connection, recorded, BY_PROMISE.reason(number))
        record = await records.find(connection, keys, row.id, alone=True)
        if record.version:  # else it is indexed when it is saved
            form = await read_form(connection)
            await search_index.index(connection, keys, form, row.id, record.content)
        await audit_appeal(connection, actor, GardenAction.TREE_PROMISED, number)


async def plant(engine: AsyncEngine, actor: Actor, number: str) -> None:
    """Plant all trees of an appeal. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        await store.mark_planted(connection, row.id)
        await retention.release(connection, BY_PROMISE.reason(number))
        await audit_appeal(connection, actor, GardenAction.TREES_PLANTED, number)


async def view(engine: AsyncEngine, actor: Actor, number: str) -> Sequence[Tree]:
    """Trees of an appeal, audited. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        trees = await store.list_trees(connection, row.id)
        await audit_appeal(connection, actor, GardenAction.TREES_VIEWED, number)
    return trees


async def searchable(
    connection: AsyncConnection, _keys: RecordKeys, appeal_id: UUID
) -> Sequence[str]:
    """Names on trees, by which the appeal is found."""
    return [each.whom for each in await store.list_trees(connection, appeal_id) if each.whom]


async def read_section(reading: AppealReading) -> Sequence[Tree]:
    """Trees for the page of the appeal."""
    return await store.list_trees(reading.connection, reading.appeal_id)


async def read_timeline(reading: AppealReading) -> Sequence[TimelineEntry]:
    """Promises in what was done about the appeal."""
    return [
        TimelineEntry(
            each.promised_at,
            each.author,
            "A tree for %(whom)s",
            {"whom": each.whom or "–"},
            path="/garden",
        )
        for each in await reading.once(read_section)
    ]
