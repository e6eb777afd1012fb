"""Being with somebody's conversation by the API: who may, on which call, and what the log keeps."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.wallboard.permissions import WallboardPermission
from tests.orders import command_server
from tests.web.conftest import Call, Enter
from tests.web.test_presence import distributor, link, post  # noqa: F401 a fixture

PATH = "/api/v1/conversations/201/supervision"
REASON = "a complaint of yesterday"


class ControllerStub:
    """Commands as a controller takes them in which 201 has the call of the register."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, CallCommand]] = []
        self.refuses = False

    async def give(self, call_id: str, order: CallCommand) -> Answer:
        self.commands.append((call_id, order))
        if self.refuses:
            raise CommandRefused("another supervisor is with this conversation")
        return {"mode": order.detail["mode"], "state": "ringing"}


@pytest.fixture
async def controller(
    redis: Redis,
    call: Call,
    distributor: RedisCallDistributor,  # noqa: F811
) -> AsyncIterator[ControllerStub]:
    made = ControllerStub()
    running = asyncio.create_task(command_server(redis, "line-1", made.give).run())
    await redis.hset("desk:holders", "201", "call-1 line-1")
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def supervisor(
    enter: Enter, engine: AsyncEngine, controller: ControllerStub
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a senior whose telephone is that of 202."""
    async with enter(Role.SENIOR) as client:
        await link(engine, Role.SENIOR, "202")
        yield client


async def audited(engine: AsyncEngine) -> list[tuple[str, str, dict[str, str]]]:
    async with engine.connect() as connection:
        query = select(audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail)
        return [(row.action, row.subject, row.detail) for row in await connection.execute(query)]


async def test_each_supervision_mode_reaches_the_call_and_the_log(
    supervisor: httpx.AsyncClient, controller: ControllerStub, engine: AsyncEngine, call: Call
) -> None:
    for mode in ("listen", "whisper", "join", "take_over", "leave"):
        answer = await post(supervisor, PATH, mode=mode, reason=f"  {REASON} ")
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"mode": mode, "state": "ringing"}
    assert [call_id for call_id, _ in controller.commands] == ["call-1"] * 5
    assert [order.detail["mode"] for _, order in controller.commands] == [
        "listen",
        "whisper",
        "join",
        "take_over",
        "leave",
    ]
    for _, order in controller.commands:
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
    supervisor: httpx.AsyncClient, controller: ControllerStub, engine: AsyncEngine
) -> None:
    controller.refuses = True
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
    supervisor: httpx.AsyncClient,
    controller: ControllerStub,
    engine: AsyncEngine,
    fields: dict[str, str],
) -> None:
    assert (await post(supervisor, PATH, **fields)).status_code == 400
    assert controller.commands == []
    assert await audited(engine) == []


async def test_without_a_free_telephone_a_supervisor_hears_nothing(
    enter: Enter, engine: AsyncEngine, controller: ControllerStub, redis: Redis
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
    assert controller.commands == []
    assert await audited(engine) == []


async def test_who_is_with_no_caller_cannot_be_heard(supervisor: httpx.AsyncClient) -> None:
    answer = await post(
        supervisor, "/api/v1/conversations/203/supervision", mode="listen", reason=REASON
    )
    assert answer.status_code == 400
    assert "in no call now" in answer.json()["detail"]


async def into_team(engine: AsyncEngine, **teams: str | None) -> None:
    async with unit_of_work(engine) as connection:
        for extension, team in teams.items():
            await store.set_team(connection, extension.removeprefix("of_"), team)


async def test_a_supervisor_hears_the_own_team_and_refusals_are_audited(
    supervisor: httpx.AsyncClient, controller: ControllerStub, engine: AsyncEngine
) -> None:
    for teams in ({"of_201": "a"}, {"of_201": "a", "of_202": "b"}, {"of_201": None}):
        await into_team(engine, **teams)
        answer = await post(supervisor, PATH, mode="listen", reason=REASON)
        assert answer.status_code == 400
        assert "another team" in answer.json()["detail"]
    page = await post(supervisor, "/live/consultants/201/supervision", mode="join", reason=REASON)
    assert page.status_code == 400
    assert controller.commands == []
    stored = await audited(engine)
    assert [detail["refused"] for _, _, detail in stored] == ["other_team"] * 4
    await into_team(engine, of_201="b")
    assert (await post(supervisor, PATH, mode="listen", reason=REASON)).status_code == 200
    ((_, order),) = controller.commands
    assert order.detail["hears"] == "201 202"


async def test_the_head_hears_every_team(
    enter: Enter, engine: AsyncEngine, controller: ControllerStub
) -> None:
    await into_team(engine, of_201="a", of_202="b")
    async with enter(Role.HEAD) as client:
        await link(engine, Role.HEAD, "202")
        assert (await post(client, PATH, mode="listen", reason=REASON)).status_code == 200
    ((_, order),) = controller.commands
    assert "hears" not in order.detail


def test_live_figures_do_not_imply_hearing() -> None:
    hearing = WallboardPermission.HEAR_CALLS.granted_to
    watching = WallboardPermission.VIEW_LIVE.granted_to
    assert hearing == {Role.SENIOR, Role.HEAD}
    assert watching - hearing == {Role.ADMINISTRATOR}
