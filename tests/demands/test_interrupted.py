"""A demand that ends half way, two officers at one demand, a clock that is wrong for a while."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import disclosures, release, service
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.release import NotAvailable
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import DemandState, IllegalDemandStep, RefusalGround
from callcenter.demands.store import DemandRow, StaleDemand
from callcenter.platform.core.errors import SelfApproval
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import joined_unit_of_work, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.retention.store import reasons_of
from tests.demands.conftest import HEAD, OFFICER, demand_form, person
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, newest, released
from tests.demands.test_disclosure_faults import brought_to, everything
from tests.demands.test_finding import matched
from tests.demands.test_registering import found

pytestmark = pytest.mark.slow

Action = Callable[[AsyncEngine, Actor, DemandRow, UUID, UUID], Awaitable[object]]

#: What anybody may try, given the demand as they saw it, its recording, and a key.
ACTIONS: dict[str, Action] = {
    "search": lambda engine, who, row, _, __: service.search(engine, who, row.number, row.version),
    "check": lambda engine, who, row, recording_id, _: service.check(
        engine, who, row.number, row.version, [recording_id], "it"
    ),
    "return": lambda engine, who, row, _, __: service.return_to_check(
        engine, who, row.number, row.version, "listen again"
    ),
    "refuse": lambda engine, who, row, _, __: service.refuse(
        engine, who, row.number, row.version, RefusalGround.NOT_OF_CONSULTANT, "a message"
    ),
    "withdraw": lambda engine, who, row, _, __: service.withdraw(
        engine, who, row.number, row.version, "a letter"
    ),
    "release": lambda engine, who, row, _, key: release.release(
        engine, who, row.number, row.version, key, "as demanded"
    ),
    "offer_again": lambda engine, who, row, _, key: release.release(
        engine, who, row.number, row.version, key, "lost", again=True
    ),
    "hand_out": lambda engine, who, row, _, __: release.hand_out(
        engine, who, row.number, "download"
    ),
    "acknowledge": lambda engine, who, row, _, __: release.acknowledge(
        engine, who, row.number, row.version, "whole"
    ),
}
AFTER = {
    "search": DemandState.FOUND,
    "check": DemandState.CHECKED,
    "return": DemandState.FOUND,
    "refuse": DemandState.REFUSED,
    "withdraw": DemandState.WITHDRAWN,
    "release": DemandState.RELEASED,
}


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, engine)


async def its_recording(tools: WorkerResources, row: DemandRow) -> UUID:
    return (await matched(tools.engine, row))[0].recording_id


@pytest.mark.parametrize("state", [DemandState.FOUND, DemandState.CHECKED, DemandState.RELEASED])
@pytest.mark.parametrize("end", ["withdraw", "refuse"])
async def test_an_abandoned_demand_holds_nothing_and_does_not_continue(
    tools: WorkerResources, tmp_path: Path, state: DemandState, end: str
) -> None:
    row, key = await brought_to(tools, tmp_path, state)
    recording_id = await its_recording(tools, row)
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [service.hold_reason(row)]
    ending = ACTIONS[end](tools.engine, HEAD, row, recording_id, UUID(key))
    if (state, end) == (DemandState.RELEASED, "refuse"):  # what somebody agreed to is not refused
        with pytest.raises(IllegalDemandStep):
            await ending
        return
    await ending
    row = await found(tools.engine, row.number)
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == []
    before = await everything(tools)
    for name, action in ACTIONS.items():
        with pytest.raises(IllegalDemandStep, match=f"a demand that is {row.state} cannot be"):
            await action(tools.engine, person(name, Role.HEAD), row, recording_id, UUID(key))
    assert await everything(tools) == before
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []


async def test_a_demand_withdrawn_while_building_is_not_disclosed(
    tools: WorkerResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await released(tools, tmp_path)
    begun, go_on, put = threading.Event(), threading.Event(), Objects.put

    def slow(objects: Objects, name: str, content: BinaryIO) -> None:
        begun.set()
        assert go_on.wait(20)
        put(objects, name, content)

    monkeypatch.setattr(Objects, "put", slow)
    building = asyncio.create_task(tend_bundles(tools, datetime.now(UTC)))
    assert await asyncio.to_thread(begun.wait, 20)
    await service.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    go_on.set()
    await building
    with pytest.raises(IllegalDemandStep):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []
    assert (await newest(tools, row)).taken_at is None


@pytest.mark.parametrize(
    ("state", "first", "second"),
    [
        (state, *order)
        for state, one, another in [
            (DemandState.FOUND, "check", "search"),
            (DemandState.FOUND, "check", "refuse"),
            (DemandState.FOUND, "check", "withdraw"),
            (DemandState.CHECKED, "release", "return"),
            (DemandState.CHECKED, "release", "refuse"),
            (DemandState.CHECKED, "release", "withdraw"),
        ]
        for order in ((one, another), (another, one))
    ],
)
async def test_the_second_of_two_officers_changes_nothing(
    tools: WorkerResources, tmp_path: Path, state: DemandState, first: str, second: str
) -> None:
    """Both saw the demand as it was; the second waits until the first one is done."""
    row, key = await brought_to(tools, tmp_path, state)
    recording_id = await its_recording(tools, row)

    def act(what: str) -> Awaitable[object]:
        who = person(what, Role.HEAD)
        return ACTIONS[what](tools.engine, who, row, recording_id, UUID(key))

    async with joined_unit_of_work(tools.engine):
        await act(first)
        other = asyncio.get_running_loop().create_task(_await(act, second), context=Context())
        await one_waits(tools.engine)
    with pytest.raises(StaleDemand):
        await other
    now = await found(tools.engine, row.number)
    assert (now.state, now.version) == (AFTER[first], row.version + 1)
    async with unit_of_work(tools.engine) as connection:
        offered = await disclosures.of_demand(connection, row.id)
    assert len(offered) == (first == "release")


async def _await(act: Callable[[str], Awaitable[object]], what: str) -> None:
    await act(what)


async def one_waits(engine: AsyncEngine) -> None:
    """Until a transaction of this database waits for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), engine.connect() as connection:
        while not (await connection.execute(query)).scalar_one():
            await connection.rollback()  # within a transaction it always says the same
            await asyncio.sleep(0.01)


async def test_no_preparer_of_a_demand_releases_or_offers_it(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """Also what was returned since, and prepared again by others."""
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    key = await new_key(tools.engine, tmp_path)
    names = ("registers", "searches", "checks", "checks_again")
    registers, searches, checks, checks_again = people = [person(n, Role.HEAD) for n in names]
    row = await service.register(
        tools.engine, registers, demand_form(criteria=SearchCriteria(appeal_number=number))
    )
    steps = [("search", searches), ("check", checks), ("return", HEAD), ("check", checks_again)]
    for what, who in steps:
        row = await found(tools.engine, row.number)
        await ACTIONS[what](tools.engine, who, row, recording_id, key)
    for what in ("release", "offer_again"):
        row = await found(tools.engine, row.number)
        before = await everything(tools)
        for who in people:
            with pytest.raises(SelfApproval):
                await ACTIONS[what](tools.engine, who, row, recording_id, key)
        assert await everything(tools) == before
        await ACTIONS[what](tools.engine, HEAD, row, recording_id, key)
    async with unit_of_work(tools.engine) as connection:
        given = await disclosures.of_demand(connection, row.id)
    assert {each.released_by for each in given} == {"user:head"}
    assert {*given[0].prepared_by} >= {f"user:{name}" for name in names}


async def test_a_clock_ahead_for_a_while_loses_no_bundle(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """It is taken away as too old; once the clock is right it is offered again, to the same key."""
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    await release.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    await tend_bundles(tools, datetime.now(UTC) + timedelta(days=400))
    assert list(Objects(tools.settings.recordings).list_objects("disclosures")) == []
    with pytest.raises(NotAvailable):
        await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    row = await found(tools.engine, row.number)
    assert row.state == DemandState.RELEASED
    await release.release(
        tools.engine, HEAD, row.number, row.version, key, "the clock was wrong", again=True
    )
    await tend_bundles(tools, datetime.now(UTC))
    given = await release.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert given.ordinal == 2
