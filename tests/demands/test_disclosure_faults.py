"""Who releases, builds or hands out is killed after any step: nothing is lost or given twice."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.demands import disclosures, releasing
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.states import State
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from tests.demands.conftest import HEAD
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, newest, released
from tests.demands.test_registering import found
from tests.recordings.test_keeping import environment

# Does one of three things and dies, as by SIGKILL, right after the named step returned.
KILLED = """
import asyncio, os, pkgutil, sys
from datetime import UTC, datetime
from uuid import UUID
from callcenter.demands import releasing
from callcenter.demands.jobs import tend_bundles
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools
from tests.demands.conftest import HEAD, person

what, number, version, key, step = sys.argv[1:]
owner, _, name = step.rpartition(".")
owner = pkgutil.resolve_name(owner)
function = getattr(owner, name)
def fatal(*args, **kwargs):
    result = function(*args, **kwargs)
    if asyncio.iscoroutine(result):
        async def fatal_later():
            await result
            os._exit(77)
        return fatal_later()
    os._exit(77)
setattr(owner, name, fatal)
settings = read_settings()
engine = open_database(settings)
asyncio.run(
    {
        "release": lambda: releasing.release(
            engine, HEAD, number, int(version), UUID(key), "as demanded"
        ),
        "build": lambda: tend_bundles(Tools(settings, engine), datetime.now(UTC)),
        "hand_out": lambda: releasing.hand_out(engine, person("ministry"), number, "download"),
    }[what]()
)
"""


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> Tools:
    return Tools(settings, engine)


async def killed(tools: Tools, step: str, what: str, number: str, version: int, key: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, what, number, str(version), key, step),
        env=environment(tools.settings),
    )
    assert await child.wait() == 77


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.releasing.disclosures.key_for",
        "callcenter.demands.releasing.take",
        "callcenter.demands.releasing.disclosures.add",
    ],
)
async def test_killed_while_releasing_it_is_not_released(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    await killed(tools, step, "release", row.number, row.version, str(key))
    assert await found(tools.engine, row.number) == row
    await releasing.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    async with unit_of_work(tools.engine) as connection:
        assert len(await disclosures.of_demand(connection, row.id)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.building._contents",
        "callcenter.demands.building._parts",
        "callcenter.demands.building.encrypt",
        "callcenter.demands.building.Objects.put",
        "callcenter.demands.building.disclosures.built",
    ],
)
async def test_killed_while_building_there_is_one_bundle_in_the_end(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await killed(tools, step, "build", row.number, row.version, "")
    assert (await newest(tools, row)).built_at is None
    await tend_bundles(tools, datetime.now(UTC))
    given = await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    (kept,) = Objects(tools.settings.recordings).listed("disclosures")
    assert (kept.name, kept.size) == (given.object_name, given.bytes)
    assert list(tools.settings.spool.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.demands.releasing.disclosures.taken",
        "callcenter.demands.releasing.take",
        "callcenter.demands.releasing.record",
    ],
)
async def test_killed_before_the_first_byte_nothing_counts_as_handed_over(
    tools: Tools, tmp_path: Path, step: str
) -> None:
    row = await released(tools, tmp_path)
    await tend_bundles(tools, datetime.now(UTC))
    await killed(tools, step, "hand_out", row.number, row.version, "")
    assert (await found(tools.engine, row.number)).state == State.RELEASED
    async with unit_of_work(tools.engine) as connection:
        query = select(audit_entry.c.id).where(audit_entry.c.action == "web:recording:disclosed")
        assert list(await connection.execute(query)) == []
    await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert (await found(tools.engine, row.number)).state == State.HANDED_OVER
