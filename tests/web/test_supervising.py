"""Being with somebody's conversation by the API: who may, on which call, and what the log keeps."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.consultants import store
from callcenter.consultants.desk import Desk
from callcenter.consultants.dispatch import Mailbox
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import GRANTS, Permission, Role
from tests.web.conftest import Call, Enter
from tests.web.test_duty import desk, link, post  # noqa: F401 a fixture

PATH = "/api/v1/conversations/201/supervision"
REASON = "a complaint of yesterday"


class Line:
    """A controller in which 201 is with the call of the register."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, Order]] = []
        self.refuses = False

    async def give(self, call_id: str, order: Order) -> Answer:
        self.orders.append((call_id, order))
        if self.refuses:
            raise OrderRefused("another supervisor is with this conversation")
        return {"mode": order.detail["mode"], "state": "ringing"}


@pytest.fixture
async def line(redis: Redis, call: Call, desk: Desk) -> AsyncIterator[Line]:  # noqa: F811
    made = Line()
    running = asyncio.create_task(Mailbox(redis, "line-1", made.give).run())
    await redis.hset("desk:holders", "201", "call-1 line-1")
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def supervisor(
    enter: Enter, engine: AsyncEngine, line: Line
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a senior whose telephone is that of 202."""
    async with enter(Role.SENIOR) as client:
        await link(engine, Role.SENIOR, "202")
        yield client


async def audited(engine: AsyncEngine) -> list[tuple[str, str, dict[str, str]]]:
    async with engine.connect() as connection:
        query = select(audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail)
        return [(row.action, row.subject, row.detail) for row in await connection.execute(query)]


async def test_each_mode_reaches_the_call_and_is_in_the_log_with_its_reason(
    supervisor: httpx.AsyncClient, line: Line, engine: AsyncEngine, call: Call
) -> None:
    for mode in ("listen", "whisper", "join", "take_over", "leave"):
        answer = await post(supervisor, PATH, mode=mode, reason=f"  {REASON} ")
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"mode": mode, "state": "ringing"}
    assert [call_id for call_id, _ in line.orders] == ["call-1"] * 5
    assert [order.detail["mode"] for _, order in line.orders] == [
        "listen",
        "whisper",
        "join",
        "take_over",
        "leave",
    ]
    for _, order in line.orders:
        assert (order.detail["extension"], order.detail["hears"]) == ("202", "2001 201 202")
        assert UUID(order.detail["id"])
        assert order.by.startswith("user:senior-")
    assert await audited(engine) == [
        (
            "web:conversation:supervised",
            f"appeal:{call.number}",
            {"consultant": "201", "call": "call-1", "mode": mode, "reason": REASON},
        )
        for mode in ("listen", "whisper", "join", "take_over", "leave")
    ]


async def test_an_attempt_that_is_refused_is_in_the_log_too(
    supervisor: httpx.AsyncClient, line: Line, engine: AsyncEngine
) -> None:
    line.refuses = True
    answer = await post(supervisor, PATH, mode="listen", reason=REASON)
    assert answer.status_code == 400
    assert "another supervisor" in answer.json()["detail"]
    assert len(await audited(engine)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "listen"},
        {"mode": "listen", "reason": "  "},
        {"mode": "listen", "reason": "x" * 201},
        {"mode": "eavesdrop", "reason": REASON},
        {"reason": REASON},
    ],
)
async def test_nothing_is_heard_without_a_reason_and_a_mode(
    supervisor: httpx.AsyncClient, line: Line, engine: AsyncEngine, fields: dict[str, str]
) -> None:
    assert (await post(supervisor, PATH, **fields)).status_code == 400
    assert line.orders == []
    assert await audited(engine) == []


async def test_who_has_no_telephone_or_is_in_a_call_hears_nothing(
    enter: Enter, engine: AsyncEngine, line: Line, redis: Redis
) -> None:
    async with enter(Role.HEAD) as client:
        answer = await post(client, PATH, mode="listen", reason=REASON)
        assert answer.status_code == 400
        assert "users link" in answer.json()["detail"]
        await link(engine, Role.HEAD, "202")
        await redis.hset("desk:states", "202", "talking 1 - desk")
        answer = await post(client, PATH, mode="listen", reason=REASON)
        assert answer.status_code == 400
        assert "in a call yourself" in answer.json()["detail"]
    assert line.orders == []
    assert await audited(engine) == []


async def test_who_is_with_no_caller_cannot_be_heard(supervisor: httpx.AsyncClient) -> None:
    answer = await post(
        supervisor, "/api/v1/conversations/203/supervision", mode="listen", reason=REASON
    )
    assert answer.status_code == 400
    assert "not with a caller" in answer.json()["detail"]


async def into_team(engine: AsyncEngine, **teams: str | None) -> None:
    async with unit_of_work(engine) as connection:
        for extension, team in teams.items():
            await store.set_team(connection, extension.removeprefix("of_"), team)


async def test_a_supervisor_hears_their_own_team_only_and_what_was_refused_is_in_the_log(
    supervisor: httpx.AsyncClient, line: Line, engine: AsyncEngine
) -> None:
    for teams in ({"of_201": "a"}, {"of_201": "a", "of_202": "b"}, {"of_201": None}):
        await into_team(engine, **teams)
        answer = await post(supervisor, PATH, mode="listen", reason=REASON)
        assert answer.status_code == 400
        assert "another team" in answer.json()["detail"]
    page = await post(supervisor, "/live/consultants/201/supervision", mode="join", reason=REASON)
    assert page.status_code == 400
    assert line.orders == []
    kept = await audited(engine)
    assert [detail["refused"] for _, _, detail in kept] == ["other_team"] * 4
    await into_team(engine, of_201="b")
    assert (await post(supervisor, PATH, mode="listen", reason=REASON)).status_code == 200
    ((_, order),) = line.orders
    assert order.detail["hears"] == "201 202"


async def test_the_head_hears_every_team(enter: Enter, engine: AsyncEngine, line: Line) -> None:
    await into_team(engine, of_201="a", of_202="b")
    async with enter(Role.HEAD) as client:
        await link(engine, Role.HEAD, "202")
        assert (await post(client, PATH, mode="listen", reason=REASON)).status_code == 200
    ((_, order),) = line.orders
    assert "hears" not in order.detail


def test_live_figures_do_not_imply_hearing() -> None:
    hearing = {role for role, granted in GRANTS.items() if Permission.HEAR_CALLS in granted}
    watching = {role for role, granted in GRANTS.items() if Permission.VIEW_LIVE in granted}
    assert hearing == {Role.SENIOR, Role.HEAD}
    assert watching - hearing == {Role.ADMINISTRATOR}
