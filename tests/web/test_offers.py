"""A room above appeals adds work lists, details of callers and reasons to retain data."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.extensions import CallerDetails
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.masking.store import find_reasons
from callcenter.appeals.search.worklists import WorkList
from callcenter.bootstrap.rooms import ROOMS
from callcenter.platform.core.registry import Room, register_rooms
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.extensions import HoldKind
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import store as retention
from tests.web.conftest import CALLER, Call

MOORING = HoldKind("mooring", "Held in the harbour:", RecordingPermission.ERASE, "/ships/")


async def caller_details(_connection: AsyncConnection, number: str) -> Sequence[tuple[str, str]]:
    return [("Ship", f"the one of {number[-4:]}")]


@pytest.fixture
def harbour() -> Iterator[None]:
    """A room registered above all others."""
    offers = (
        MOORING,
        CallerDetails(caller_details),
        WorkList(5, "ships", "Ships", lambda _: appeal.c.caller_number == CALLER),
        RetentionReason("moored", "They stay: the ship is moored.", lambda _: true()),
    )
    register_rooms([*ROOMS, Room("harbour", offers=offers)])
    yield
    register_rooms(ROOMS)


@pytest.mark.usefixtures("harbour")
async def test_a_room_adds_to_the_call_and_the_work_lists(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert f"the one of {CALLER[-4:]}" in (await head.get(f"/appeals/{call.number}")).text
    [first, *_] = (await head.get("/api/v1/work-lists")).json()
    assert first == {"list": "ships", "count": 1}
    found = (await head.get("/api/v1/work-lists/ships")).json()
    assert [each["number"] for each in found["appeals"]] == [call.number]
    assert "Ships" in (await head.get("/work?list=ships")).text


@pytest.mark.usefixtures("harbour")
async def test_a_room_retains_personal_data(engine: AsyncEngine, call: Call) -> None:
    async with unit_of_work(engine) as connection:
        assert "moored" in await find_reasons(connection, call.id, datetime.now(UTC))


@pytest.mark.usefixtures("harbour")
async def test_a_room_explains_its_holds(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await retention.hold(connection, [call.recording], MOORING.reason("aral-7"))
        await retention.hold(connection, [call.recording], "of_no_room:5")
    shown = (await head.get(f"/recordings/{call.recording}")).text
    assert 'Held in the harbour: <a href="/ships/aral-7">aral-7</a>' in shown
    assert "of_no_room: 5" in shown


async def test_an_unknown_work_list_is_not_found(head: httpx.AsyncClient) -> None:
    for path in ("/work?list=ships", "/api/v1/work-lists/ships"):
        assert (await head.get(path)).status_code == 404
