"""Asking for calls from the pages and the API."""

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter


async def post(client: httpx.AsyncClient, path: str, page: str, **data: str) -> httpx.Response:
    return await client.post(path, data=data | {"form_token": await form_token(client, page)})


async def test_who_asked_not_to_be_called_is_marked_and_may_change_their_mind(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    page = f"/appeals/{call.number}"
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert "Ring back" in visible((await client.get(page)).text)
        assert "Call all the same" not in visible((await client.get(page)).text)
        answer = await post(client, f"{page}/no-calls", page, unwanted="true")
        assert (answer.status_code, answer.headers["location"]) == (303, page)
        assert "Call all the same" in visible((await client.get(page)).text)
        api = f"/api/v1/appeals/{call.number}"
        assert (await client.get(api)).json()["calls_unwanted"] is True
        assert (await post(client, f"{api}/no-calls", page, unwanted="false")).status_code == 204
        assert (await client.get(api)).json()["calls_unwanted"] is False
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.subject, audit_entry.c.detail)
            .where(audit_entry.c.action == "web:appeal:calls_unwanted")
            .order_by(audit_entry.c.id)
        )
        assert [tuple(row) for row in rows] == [
            (f"appeal:{call.number}", {"unwanted": True}),
            (f"appeal:{call.number}", {"unwanted": False}),
        ]


@pytest.mark.parametrize("path", ["/api/v1/calls", "/api/v1/appeals/{number}/ring-back"])
async def test_only_who_has_a_softphone_can_call(enter: Enter, call: Call, path: str) -> None:
    async with enter(Role.SENIOR) as client:
        answer = await post(client, path.format(number=call.number), "/appeals", appeal=call.number)
        assert answer.status_code == 400
        assert "you are no consultant yet" in answer.text


async def test_who_may_not_call_is_not_offered_to(enter: Enter, call: Call) -> None:
    async with enter(Role.AUDITOR) as client:
        client.headers["accept-language"] = "en"
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "Ring back" not in page
