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

from callcenter.demands import deeds, disclosures, releasing
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.matching import Wanted
from callcenter.demands.releasing import NotToBeTaken
from callcenter.demands.states import Ground, IllegalMove, SamePerson, State
from callcenter.demands.store import DemandRow, SomebodyElse
from callcenter.recordings.holding import reasons_of
from callcenter.settings import Settings
from callcenter.storage.engine import as_a_whole, unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from callcenter.web.permissions import Role
from callcenter.web.site import Visit
from tests.demands.conftest import HEAD, OFFICER, filing, person
from tests.demands.recorded import sealed_talk
from tests.demands.test_disclosing import AUTHORITY, checked, new_key, newest, released
from tests.demands.test_disclosure_faults import brought_to, everything
from tests.demands.test_finding import matched
from tests.demands.test_registering import found

pytestmark = pytest.mark.slow

Deed = Callable[[AsyncEngine, Visit, DemandRow, UUID, UUID], Awaitable[object]]

#: What anybody may try, given the demand as they saw it, its recording, and a key.
DEEDS: dict[str, Deed] = {
    "search": lambda engine, who, row, _, __: deeds.search(engine, who, row.number, row.version),
    "check": lambda engine, who, row, recording_id, _: deeds.check(
        engine, who, row.number, row.version, [recording_id], "it"
    ),
    "return": lambda engine, who, row, _, __: deeds.return_to_check(
        engine, who, row.number, row.version, "listen again"
    ),
    "refuse": lambda engine, who, row, _, __: deeds.refuse(
        engine, who, row.number, row.version, Ground.NOT_OF_CONSULTANT, "a message"
    ),
    "withdraw": lambda engine, who, row, _, __: deeds.withdraw(
        engine, who, row.number, row.version, "a letter"
    ),
    "release": lambda engine, who, row, _, key: releasing.release(
        engine, who, row.number, row.version, key, "as demanded"
    ),
    "offer_again": lambda engine, who, row, _, key: releasing.release(
        engine, who, row.number, row.version, key, "lost", again=True
    ),
    "hand_out": lambda engine, who, row, _, __: releasing.hand_out(
        engine, who, row.number, "download"
    ),
    "acknowledge": lambda engine, who, row, _, __: releasing.acknowledge(
        engine, who, row.number, row.version, "whole"
    ),
}
AFTER = {
    "search": State.FOUND,
    "check": State.CHECKED,
    "return": State.FOUND,
    "refuse": State.REFUSED,
    "withdraw": State.WITHDRAWN,
    "release": State.RELEASED,
}


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> Tools:
    return Tools(settings, engine)


async def its_recording(tools: Tools, row: DemandRow) -> UUID:
    return (await matched(tools.engine, row))[0].recording_id


@pytest.mark.parametrize("state", [State.FOUND, State.CHECKED, State.RELEASED])
@pytest.mark.parametrize("end", ["withdraw", "refuse"])
async def test_of_a_demand_that_ended_half_way_nothing_is_held_and_nothing_goes_on(
    tools: Tools, tmp_path: Path, state: State, end: str
) -> None:
    row, key = await brought_to(tools, tmp_path, state)
    recording_id = await its_recording(tools, row)
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == [deeds.held_reason(row)]
    ending = DEEDS[end](tools.engine, HEAD, row, recording_id, UUID(key))
    if (state, end) == (State.RELEASED, "refuse"):  # what somebody agreed to is not refused
        with pytest.raises(IllegalMove):
            await ending
        return
    await ending
    row = await found(tools.engine, row.number)
    async with unit_of_work(tools.engine) as connection:
        assert await reasons_of(connection, recording_id) == []
    before = await everything(tools)
    for name, deed in DEEDS.items():
        with pytest.raises(IllegalMove, match=f"a demand that is {row.state} cannot be"):
            await deed(tools.engine, person(name, Role.HEAD), row, recording_id, UUID(key))
    assert await everything(tools) == before
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []


async def test_withdrawn_while_its_bundle_is_built_it_is_not_handed_over(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    await deeds.withdraw(tools.engine, OFFICER, row.number, row.version, "a letter")
    go_on.set()
    await building
    with pytest.raises(IllegalMove):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    await tend_bundles(tools, datetime.now(UTC))
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []
    assert (await newest(tools, row)).taken_at is None


@pytest.mark.parametrize(
    ("state", "first", "second"),
    [
        (state, *order)
        for state, one, another in [
            (State.FOUND, "check", "search"),
            (State.FOUND, "check", "refuse"),
            (State.FOUND, "check", "withdraw"),
            (State.CHECKED, "release", "return"),
            (State.CHECKED, "release", "refuse"),
            (State.CHECKED, "release", "withdraw"),
        ]
        for order in ((one, another), (another, one))
    ],
)
async def test_of_two_officers_at_once_the_second_changes_nothing_and_is_told(
    tools: Tools, tmp_path: Path, state: State, first: str, second: str
) -> None:
    """Both saw the demand as it was; the second waits until the first one is done."""
    row, key = await brought_to(tools, tmp_path, state)
    recording_id = await its_recording(tools, row)

    def act(what: str) -> Awaitable[object]:
        who = person(what, Role.HEAD)
        return DEEDS[what](tools.engine, who, row, recording_id, UUID(key))

    async with as_a_whole(tools.engine):
        await act(first)
        other = asyncio.get_running_loop().create_task(_await(act, second), context=Context())
        await one_waits(tools.engine)
    with pytest.raises(SomebodyElse):
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


async def test_nobody_who_ever_prepared_a_part_of_it_releases_or_offers_it_again(
    tools: Tools, tmp_path: Path
) -> None:
    """Also what was returned since, and prepared again by others."""
    number, recording_id = await sealed_talk(tools.settings, tools.engine)
    key = await new_key(tools.engine, tmp_path)
    names = ("registers", "searches", "checks", "checks_again")
    registers, searches, checks, checks_again = people = [person(n, Role.HEAD) for n in names]
    row = await deeds.register(tools.engine, registers, filing(wanted=Wanted(appeal_number=number)))
    steps = [("search", searches), ("check", checks), ("return", HEAD), ("check", checks_again)]
    for what, who in steps:
        row = await found(tools.engine, row.number)
        await DEEDS[what](tools.engine, who, row, recording_id, key)
    for what in ("release", "offer_again"):
        row = await found(tools.engine, row.number)
        before = await everything(tools)
        for who in people:
            with pytest.raises(SamePerson):
                await DEEDS[what](tools.engine, who, row, recording_id, key)
        assert await everything(tools) == before
        await DEEDS[what](tools.engine, HEAD, row, recording_id, key)
    async with unit_of_work(tools.engine) as connection:
        given = await disclosures.of_demand(connection, row.id)
    assert {each.released_by for each in given} == {"user:head"}
    assert {*given[0].prepared_by} >= {f"user:{name}" for name in names}


async def test_a_clock_that_was_ahead_for_a_while_loses_no_bundle_for_ever(
    tools: Tools, tmp_path: Path
) -> None:
    """It is taken away as too old; once the clock is right it is offered again, to the same key."""
    row, key = await checked(tools), await new_key(tools.engine, tmp_path)
    await releasing.release(tools.engine, HEAD, row.number, row.version, key, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    await tend_bundles(tools, datetime.now(UTC) + timedelta(days=400))
    assert list(Objects(tools.settings.recordings).listed("disclosures")) == []
    with pytest.raises(NotToBeTaken):
        await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    row = await found(tools.engine, row.number)
    assert row.state == State.RELEASED
    await releasing.release(
        tools.engine, HEAD, row.number, row.version, key, "the clock was wrong", again=True
    )
    await tend_bundles(tools, datetime.now(UTC))
    given = await releasing.hand_out(tools.engine, AUTHORITY, row.number, "download")
    assert given.ordinal == 2
