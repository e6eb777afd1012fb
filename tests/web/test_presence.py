"""Consultants' states by the API, on the real Redis and PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import state_history, store
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import link_consultant
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests.polling import until
from tests.web.browser import form_token
from tests.web.conftest import Enter

DIGEST = "0123456789abcdef" * 2


@pytest.fixture
async def distributor(
    redis: Redis, engine: AsyncEngine, settings: Settings
) -> RedisCallDistributor:
    """A distributor that knows 201 and 202: telephones free, neither signed in."""
    async with unit_of_work(engine) as connection:
        for extension in ("201", "202"):
            await store.add(
                connection, extension=extension, name="A", languages=["kk"], digest=DIGEST
            )
        crew = await store.active(connection)
    opened = RedisCallDistributor(
        redis, "line-1", settings.model_copy(update={"sign_in_required": True})
    )
    await opened.update_roster(crew)
    await opened.update_devices({"201": "NOT_INUSE", "202": "NOT_INUSE"}, 1)
    return opened


async def link(engine: AsyncEngine, role: Role, extension: str) -> None:
    """Make the one person of a role that consultant, and keep the person signed in."""
    query = "UPDATE web_user SET consultant_id = (SELECT id FROM consultant WHERE extension = %s)"
    async with unit_of_work(engine) as connection:
        await connection.exec_driver_sql(f"{query} WHERE role = %s", (extension, role.value))


@pytest.fixture
async def consultant(
    enter: Enter, engine: AsyncEngine, distributor: RedisCallDistributor
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of consultant 201."""
    async with enter(Role.CONSULTANT) as client:
        await link(engine, Role.CONSULTANT, "201")
        yield client


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    token = await form_token(client, "/appeals/0")
    return await client.post(path, data={"form_token": token, **fields})


async def test_a_consultant_signs_in_pauses_goes_on_and_signs_out(
    consultant: httpx.AsyncClient,
) -> None:
    before = (await consultant.get("/api/v1/duty")).json()
    assert (before["extension"], before["state"]) == ("201", "signed_out")
    assert before["why_no_calls"] == "signed_out"
    for state, reason, why in (
        ("ready", None, None),
        ("paused", "lunch", "paused"),
        ("paused", "training", "paused"),
        ("ready", None, None),
        ("signed_out", "asked", "signed_out"),
    ):
        fields = {"state": state} | ({"reason": reason} if reason else {})
        answer = await post(consultant, "/api/v1/duty", **fields)
        assert answer.status_code == 200, answer.text
        reported = answer.json()
        assert (reported["state"], reported["reason"], reported["why_no_calls"]) == (
            state,
            reason,
            why,
        )
        assert reported["by"] == "self"
        assert reported == (await consultant.get("/api/v1/duty")).json()


async def test_a_call_may_be_given_to_a_colleagues_skill(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
) -> None:
    async with unit_of_work(engine) as connection:
        await store.set_skills(connection, "202", {"psychologist": 3})
    await PresenceService(redis, settings).ask("202", PresenceState.READY, by="self")
    shown = ""

    async def is_listed() -> bool:
        nonlocal shown
        answer = await consultant.get("/workspace/colleagues")
        assert answer.status_code == 200
        shown = answer.text
        return 'value="202"' in shown

    await until(is_listed, "202 is at work")
    assert 'value="skill:psychologist"' in shown


@pytest.mark.parametrize(
    ("fields", "reported"),
    [
        ({"state": "paused", "reason": "lunch"}, "signed_out cannot become paused"),
        ({"state": "paused", "reason": "missed"}, "must be one of lunch"),
        ({"state": "paused"}, "must be one of"),
        ({"state": "talking"}, "wrong or missing: body.state"),
        ({}, "wrong or missing: body.state"),
    ],
)
async def test_an_invalid_request_is_explained(
    consultant: httpx.AsyncClient, fields: dict[str, str], reported: str
) -> None:
    answer = await post(consultant, "/api/v1/duty", **fields)
    assert answer.status_code == 400
    assert reported in answer.json()["detail"]


async def test_who_is_no_consultant_reads_how_to_become_one(
    enter: Enter, distributor: RedisCallDistributor
) -> None:
    async with enter(Role.CONSULTANT) as client:
        answer = await client.get("/api/v1/duty")
    assert answer.status_code == 400
    assert "callcenter users link" in answer.json()["detail"]


async def test_a_supervisor_sees_all_and_sends_somebody_to_a_pause(
    consultant: httpx.AsyncClient, head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await post(consultant, "/api/v1/duty", state="ready")
    paths = "/api/v1/consultants/201/duty", "/api/v1/consultants/999/duty"
    answer = await post(head, paths[0], state="paused", reason="recovery")
    assert answer.status_code == 200, answer.text
    seen = (await consultant.get("/api/v1/duty")).json()
    assert (seen["state"], seen["reason"]) == ("paused", "recovery")
    assert seen["by"].startswith("user:head-")
    everyone = (await head.get("/api/v1/consultants/duty")).json()
    assert [(each["extension"], each["state"]) for each in everyone] == [
        ("201", "paused"),
        ("202", "signed_out"),
    ]
    assert (await post(head, paths[1], state="signed_out")).status_code == 400
    assert (await post(head, paths[0], state="ready")).status_code == 400
    async with engine.connect() as connection:
        query = select(audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail)
        audited = [tuple(row) for row in await connection.execute(query)]
    detail = {"state": "paused", "reason": "recovery"}
    assert audited == [("web:consultant:duty_changed", "consultant:201", detail)]


async def test_a_supervisor_reads_hours(
    head: httpx.AsyncClient, engine: AsyncEngine, distributor: RedisCallDistributor
) -> None:
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        since = now - timedelta(hours=1)
        await state_history.save(
            connection, [PresenceChange("201", PresenceState.READY, None, since, "self")]
        )
    path = "/api/v1/consultants/201/hours"
    span = {"begin": (now - timedelta(hours=2)).isoformat(), "end": now.isoformat()}
    assert (await head.get(path, params=span)).json() == [
        {"state": "ready", "reason": None, "seconds": 3600},
        {"state": "signed_out", "reason": None, "seconds": 3600},
    ]
    wrong = {"begin": span["end"], "end": span["begin"]}
    assert (await head.get(path, params=wrong)).status_code == 400
    unknown = await head.get("/api/v1/consultants/999/hours", params=span)
    assert unknown.status_code == 400


async def test_reasons_have_names_in_both_languages(consultant: httpx.AsyncClient) -> None:
    reasons = (await consultant.get("/api/v1/pause-reasons")).json()
    assert {"code": "lunch", "name_kk": "Түскі үзіліс", "name_ru": "Обед", "key": 1} in reasons


async def test_one_consultant_is_one_person(
    enter: Enter, engine: AsyncEngine, distributor: RedisCallDistributor
) -> None:
    async with enter(Role.CONSULTANT), enter(Role.SENIOR), unit_of_work(engine) as connection:
        rows = await connection.exec_driver_sql("SELECT name FROM web_user ORDER BY role")
        first, second = (name for (name,) in rows)
        consultant_id = await store.id_of(connection, "201")
        await link_consultant(connection, name=first, consultant_id=consultant_id)
        with pytest.raises(InvalidRequest, match=f"unlink {first} first"):
            await link_consultant(connection, name=second, consultant_id=consultant_id)
        await link_consultant(connection, name=first, consultant_id=None)
        await link_consultant(connection, name=second, consultant_id=consultant_id)
