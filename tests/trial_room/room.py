"""The garden: what it registers."""

from collections.abc import Sequence

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.extensions import (
    AppealSection,
    CallerDetails,
    MovesWithAppeal,
    SearchableText,
    TimelineSource,
)
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.appeals.search.worklists import WorkList
from callcenter.platform.core.registry import Room
from callcenter.platform.monitoring.alerts import AlertKind, raise_alert
from callcenter.platform.storage.backup_folders import BackupFolder
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.platform.storage.table_rights import TableRights
from tests.trial_room import service, store
from tests.trial_room.actions import GardenAction
from tests.trial_room.permissions import GardenPermission
from tests.trial_room.tables import tree

TREE_WAITS = AlertKind("tree_waits", "A tree waits to be planted.", path="/garden")


class NothingToWatch(Exception):
    """The garden was looked after once; the worker ends with it."""


async def _watch(resources: WorkerResources, redis: Redis) -> None:
    """Alert of trees that wait, once: tests need no more."""
    async with unit_of_work(resources.engine) as connection:
        waits = await store.awaits_any(connection)
    if waits:
        await raise_alert(redis, TREE_WAITS)
    raise NothingToWatch


async def _caller_details(_connection: AsyncConnection, number: str) -> Sequence[tuple[str, str]]:
    return [("Trees", f"an orchard at {number[-4:]}")]


ROOM = Room(
    name="garden",
    web="tests.trial_room.web_module",
    offers=(
        *GardenPermission,
        *GardenAction,
        WorkerLoop("garden", _watch),
        TableRights(tree, worker="su", web="siu"),
        TREE_WAITS,
        BackupFolder("garden", lambda settings: settings.var / "garden"),
        AppealSection(
            "Garden",
            "garden/trees.html",
            AppealPermission.SEE_PERSONAL,
            service.read_section,
            anchor="trees",
        ),
        TimelineSource(AppealPermission.SEE_PERSONAL, service.read_timeline),
        SearchableText(service.searchable),
        MovesWithAppeal(joined=store.move, split=store.copy),
        CallerDetails(_caller_details),
        WorkList(5, "trees", "Trees to plant", lambda _reader: store.is_awaited()),
        service.BY_PROMISE,
        RetentionReason(
            "tree_promised", "They stay: a tree is promised.", lambda _now: store.is_awaited()
        ),
        PersonalDataPart(
            tree,
            ("whom",),
            key="trees",
            label="Names on trees: %(count)s",
            of=tree.c.appeal_id.in_,
            is_personal=tree.c.whom.is_not(None),
            erased={"whom": None},
        ),
    ),
)
