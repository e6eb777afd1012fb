"""One's own call by the API: what reaches the controller, and whose call it is."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.consultants import store
from callcenter.consultants.dispatch import Mailbox
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.promises.store import promise_message
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.browser import visible
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_duty import DIGEST, link, post

STATE = {"caller": "aside", "muted": "no", "guest": "none"}


@pytest.fixture
async def given(redis: Redis) -> AsyncIterator[list[tuple[str, Order]]]:
    """What was asked of the call of 201, which refuses to be redirected."""
    asked: list[tuple[str, Order]] = []

    async def give(call_id: str, order: Order) -> Answer:
        asked.append((call_id, order))
        if order.what == "redirect":
            raise OrderRefused("not now")
        return STATE

    await redis.hset("desk:holders", "201", "1764000000.1 line-1")
    running = asyncio.create_task(Mailbox(redis, "line-1", give).run())
    yield asked
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def consultant(enter: Enter, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of consultant 201."""
    async with unit_of_work(engine) as connection:
        for extension in ("201", "202"):
            await store.add(
                connection, extension=extension, name="A", languages=["kk"], digest=DIGEST
            )
    async with enter(Role.CONSULTANT) as client:
        await link(engine, Role.CONSULTANT, "201")
        yield client


async def test_ones_own_call_is_held_and_looked_at(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]]
) -> None:
    answer = await post(consultant, "/api/v1/calls/mine/hold")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["caller"], answer.json()["muted"]) == ("aside", False)
    assert (await consultant.get("/api/v1/calls/mine")).json() == answer.json()
    assert [(call, order.what, order.consultant) for call, order in given] == [
        ("1764000000.1", "hold", "201"),
        ("1764000000.1", "status", "201"),
    ]


async def test_a_consultant_is_named_and_a_language_is_one_of_two(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]]
) -> None:
    await post(consultant, "/api/v1/calls/mine/consult", to="202")
    await post(consultant, "/api/v1/calls/mine/queue", language="ru")
    assert [order.detail for _, order in given] == [{"to": "202"}, {"language": "ru"}]
    for wrong in ({"language": "en"}, {"to": "2" * 51}):
        answer = await post(consultant, "/api/v1/calls/mine/queue", **wrong)
        assert answer.status_code in (400, 422)
    assert len(given) == 2


@pytest.mark.parametrize("what", ["consult", "transfer"])
async def test_who_does_not_exist_is_said_and_reaches_no_call(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]], what: str
) -> None:
    for to, told in (("299", "no consultant 299"), ("skill:plumber:3", "no skill plumber")):
        answer = await post(consultant, f"/api/v1/calls/mine/{what}", to=to)
        assert (answer.status_code, told in answer.text) == (400, True)
    assert given == []
    assert (await post(consultant, f"/api/v1/calls/mine/{what}", to="202")).status_code == 200
    assert [order.detail for _, order in given] == [{"to": "202"}]


async def test_what_the_call_refuses_is_said(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]]
) -> None:
    answer = await post(consultant, "/api/v1/calls/mine/redirect")
    assert answer.status_code == 400
    assert "not now" in answer.text
    assert len(given) == 1


async def test_the_page_of_work_shows_ones_call_and_does_what_the_api_does(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]]
) -> None:
    consultant.headers["accept-language"] = "en"
    assert "The caller hears music and nobody else." in visible(
        (await consultant.get("/duty")).text
    )
    answer = await post(consultant, "/duty/call/transfer", to="skill:lawyer:3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/duty")
    answer = await post(consultant, "/duty/call/redirect")
    assert answer.status_code == 400
    assert "This cannot be done with the call now." in visible(answer.text)
    asked = [(order.what, dict(order.detail)) for _, order in given if order.what != "status"]
    assert asked == [("transfer", {"to": "skill:lawyer:3"}), ("redirect", {})]


async def test_the_page_of_work_shows_each_key_of_a_caller_who_cannot_speak(
    consultant: httpx.AsyncClient, redis: Redis
) -> None:
    keys = ["1"]

    async def give(_call_id: str, _order: Order) -> Answer:
        return {**STATE, "urgent": "silent", "keys": " ".join(keys)}

    await redis.hset("desk:holders", "201", "1764000000.1 line-1")
    running = asyncio.create_task(Mailbox(redis, "line-1", give).run())
    consultant.headers["accept-language"] = "en"
    first = (await consultant.get("/duty")).text
    keys.extend("22")
    second = (await consultant.get("/duty")).text
    answer = (await consultant.get("/api/v1/calls/mine")).json()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "The caller cannot speak. Ask what can be answered by key" in visible(first)
    assert "Keys that the caller pressed: 1" in visible(first)
    assert "Keys that the caller pressed: 1 2 2" in visible(second)
    assert (answer["urgent"], answer["keys"]) == ("silent", "1 2 2")


async def test_without_a_call_the_page_of_work_has_no_buttons_for_it(
    consultant: httpx.AsyncClient,
) -> None:
    page = (await consultant.get("/duty")).text
    assert "data-call" not in page
    assert re.search(r'<section id="call"[^>]* hidden>', page)
    assert (await post(consultant, "/duty/call/hold")).status_code == 400


async def test_the_page_of_work_names_the_appeal_whose_message_one_hears(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    recording_id, now = uuid4(), datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        await promise_message(
            connection,
            recording_id=recording_id,
            appeal_id=call.id,
            language="kk",
            urgent=False,
            arrived_at=now,
            promised_at=now,
        )
    await redis.hset("desk:holders", "201", f"message-{recording_id} line-1")

    async def give(_call_id: str, _order: Order) -> Answer:
        raise OrderRefused("this call is over")

    running = asyncio.create_task(Mailbox(redis, "line-1", give).run())
    consultant.headers["accept-language"] = "en"
    page = (await consultant.get("/duty")).text
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert f"You hear the message of appeal {call.number}" in visible(page)
    assert f'href="/appeals/{call.number}"' in page
    assert re.search(r'<section id="call"[^>]* hidden>', page)


async def test_what_is_no_order_reaches_no_call(
    consultant: httpx.AsyncClient, given: list[tuple[str, Order]]
) -> None:
    assert (await post(consultant, "/api/v1/calls/mine/explode")).status_code == 404
    assert given == []


async def test_nobody_touches_the_call_of_somebody_else(
    consultant: httpx.AsyncClient, engine: AsyncEngine, given: list[tuple[str, Order]]
) -> None:
    await link(engine, Role.CONSULTANT, "202")
    answer = await post(consultant, "/api/v1/calls/mine/hold")
    assert answer.status_code == 400
    assert "not with a caller" in answer.text
    assert given == []


async def test_the_page_of_work_leads_to_the_last_record_also_when_it_is_loaded_anew(
    consultant: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    _, of_nobody = await open_call(engine, "call-nobody", now)
    for began, shown in ((now - timedelta(hours=13), False), (now - timedelta(minutes=9), True)):
        appeal_id, number = await open_call(engine, f"call-{shown}", began)
        async with unit_of_work(engine) as connection:
            consultant_id = await store.id_of(connection, "201")
            await appeals.set_consultant(
                connection, appeal_id=appeal_id, consultant_id=consultant_id
            )
        page = (await consultant.get("/duty")).text
        assert (f'href="/appeals/{number}/record"' in page) == shown
        assert of_nobody not in page
