"""Asking for calls from the pages and the API."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from tests.intake.messages import message, receive
from tests.orders import command_server
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter
from tests.web.test_presence import link


async def post(client: httpx.AsyncClient, path: str, page: str, **data: str) -> httpx.Response:
    return await client.post(path, data=data | {"form_token": await form_token(client, page)})


async def test_a_wish_not_to_be_called_is_marked_and_revocable(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    page = f"/appeals/{call.number}"
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert "Ring back" in visible((await client.get(page)).text)
        assert "Call all the same" not in visible((await client.get(page)).text)
        answer = await post(client, f"{page}/no-calls", page, unwanted="true")
        assert (answer.status_code, answer.headers["location"]) == (303, page)
        refused = visible((await client.get(page)).text)
        assert "This person asked not to be called. A senior may call all the same" in refused
        assert "Ring back" not in refused
        api = f"/api/v1/appeals/{call.number}"
        assert (await client.get(api)).json()["calls_unwanted"] is True
        for path in (f"{api}/no-calls", f"{page}/no-calls"):
            unfounded = await post(client, path, page, unwanted="false", reason=" ")
            assert unfounded.status_code == 400
            assert "say how you know that this person" in unfounded.text
        assert (await client.get(api)).json()["calls_unwanted"] is True
        said = {"unwanted": "false", "reason": "Said so in her call today"}
        assert (await post(client, f"{page}/no-calls", page, **said)).status_code == 303
        assert (await client.get(api)).json()["calls_unwanted"] is False
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.subject, audit_entry.c.detail)
            .where(audit_entry.c.action == "web:appeal:calls_unwanted")
            .order_by(audit_entry.c.id)
        )
        assert [tuple(row) for row in rows] == [
            (f"appeal:{call.number}", {"unwanted": True}),
            (f"appeal:{call.number}", {"unwanted": False, "reason": "Said so in her call today"}),
        ]


@pytest.mark.parametrize("path", ["/api/v1/calls", "/api/v1/appeals/{number}/ring-back"])
async def test_only_who_has_a_softphone_can_call(enter: Enter, call: Call, path: str) -> None:
    async with enter(Role.SENIOR) as client:
        answer = await post(client, path.format(number=call.number), "/search", appeal=call.number)
        assert answer.status_code == 400
        assert "you are no consultant yet" in answer.text


async def test_who_may_not_call_is_not_offered_to(enter: Enter, call: Call) -> None:
    async with enter(Role.AUDITOR) as client:
        client.headers["accept-language"] = "en"
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "Ring back" not in page


@pytest.fixture
async def orders(redis: Redis) -> AsyncIterator[list[CallCommand]]:
    """What controllers were ordered; any takes it."""
    taken: list[CallCommand] = []

    async def give(_call_id: str, order: CallCommand) -> Answer:
        taken.append(order)
        return {"call": str(uuid4()), "appeal": "-"}

    await redis.zadd("desk:controllers", {"line-1": time.time() + 60})
    running = asyncio.create_task(command_server(redis, "line-1", give, lambda: True).run())
    yield taken
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_people_of_the_record_are_called_by_its_id(
    enter: Enter, engine: AsyncEngine, call: Call, orders: list[CallCommand]
) -> None:
    page = f"/appeals/{call.number}"
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        record = {"f.content": "-", "f.representative.phone": "8 701 999 99 98"}
        assert (
            await post(client, f"{page}/record", page, version="0", **record)
        ).status_code == 303
        shown = visible((await client.get(page)).text)
        assert "Call: Representative, +77019999998" in shown
        path = f"/appeals/{call.number}/call"
        assert (await post(client, path, page, person="representative")).status_code == 303
        assert (await post(client, path, page, other="109")).status_code == 303
        unknown = await post(client, path, page, person="affected1")
        assert (unknown.status_code, "There is no call:" in visible(unknown.text)) == (400, True)
    assert [order.what for order in orders] == ["call", "call"]
    assert [dict(order.detail) for order in orders] == [
        {
            "extension": "2001",
            "appeal_id": str(call.id),
            "appeal": call.number,
            "number": number,
        }
        for number in ("+77019999998", "109")
    ]


async def test_the_number_of_a_letter_is_called_masked(
    enter: Enter,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    call: Call,
    orders: list[CallCommand],
) -> None:
    await receive(web_engine, settings, message(joins=call.number, phone="+77019999998"))
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        masked, page = "+7 701 *** ** 98", f"/appeals/{call.number}"
        shown = (await client.get(page)).text
        assert f"Call: Number of a letter, {masked}" in visible(shown)
        assert "+77019999998" not in shown
        assert (await post(client, f"{page}/call", page, person=masked)).status_code == 303
    assert [order.detail["number"] for order in orders] == ["+77019999998"]


async def test_the_caller_is_called_about_the_same_appeal(
    enter: Enter, engine: AsyncEngine, call: Call, orders: list[CallCommand]
) -> None:
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        panel = visible((await client.get(f"/appeals/{call.number}/panel")).text)
        assert f"Call: Who got in touch, {mask(CALLER)}" in panel
        path = f"/appeals/{call.number}/call"
        called = await post(client, path, f"/appeals/{call.number}", person="caller")
        assert called.status_code == 303
    [order] = orders
    about = {"appeal_id": str(call.id), "appeal": call.number}
    assert dict(order.detail) == {"extension": "2001", **about}


async def test_people_who_want_no_calls_are_not_called(
    enter: Enter, engine: AsyncEngine, call: Call, orders: list[CallCommand]
) -> None:
    page = f"/appeals/{call.number}"
    said = {"person": "applicant", "allowed": "false", "channel": "call", "number": "applicant"}
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        record = {"f.content": "-", "f.applicant.phone": "8 701 999 99 98"}
        await post(client, f"{page}/record", page, version="0", **record)
        await post(client, f"/appeals/{call.number}/contact-wishes", page, **said)
        shown = visible((await client.get(page)).text)
    assert "Applicant: must not be reached" in shown
    assert "Call: Applicant" not in shown
    assert orders == []
