"""The page of blocked numbers, for supervisors."""

import re

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse.tables import blocked_number
from callcenter.appeals import store as appeals
from callcenter.audit.tables import audit_entry
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter

LIFT = re.compile(r'action="(/blocked/[0-9a-f-]{36}/lift)"')


async def block(client: httpx.AsyncClient, number: str = CALLER, **changed: str) -> httpx.Response:
    data = {"number": number, "hours": "24", "reason": "insults"} | changed
    token = await form_token(client, "/blocked")
    return await client.post("/blocked", data=data | {"form_token": token})


async def shown(client: httpx.AsyncClient) -> str:
    client.headers["accept-language"] = "en"
    return visible((await client.get("/blocked")).text)


async def audited(engine: AsyncEngine) -> list[tuple[str, str, dict[str, object]]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail)
            .where(audit_entry.c.action.like("web:block:%"))
            .order_by(audit_entry.c.id)
        )
        return [(row.action, row.subject, row.detail) for row in rows]


async def test_a_number_is_blocked_and_let_through_again(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    assert "No number is blocked." in await shown(head)
    answer = await block(head, "8 701 234 56 67")
    assert (answer.status_code, answer.headers["location"]) == (303, "/blocked")
    text = await shown(head)
    assert f"{CALLER} insults head-" in text
    assert [each["number"] for each in (await head.get("/api/v1/blocked")).json()] == [CALLER]
    found = LIFT.search((await head.get("/blocked")).text)
    assert found is not None
    token = await form_token(head, "/blocked")
    await head.post(found[1], data={"form_token": token})
    text = await shown(head)
    assert "No number is blocked." in text
    assert CALLER in text.partition("Blocked before")[2]
    assert (await head.get("/api/v1/blocked")).json() == []
    twice = await head.post(found[1], data={"form_token": token})
    assert twice.status_code == 404
    async with unit_of_work(engine) as connection:
        identity, until = (
            await connection.execute(select(blocked_number.c.id, blocked_number.c.until))
        ).one()
    detail = {
        "number": "+7 701 *** ** 67",
        "until": until.isoformat(timespec="seconds"),
        "reason": "insults",
    }
    assert await audited(engine) == [
        ("web:block:made", f"block:{identity}", detail),
        ("web:block:lifted", f"block:{identity}", {"number": "+7 701 *** ** 67"}),
    ]


@pytest.mark.parametrize("number", ["102", "nobody", "+7701"])
async def test_what_is_no_whole_number_is_said_beside_the_form(
    head: httpx.AsyncClient, engine: AsyncEngine, number: str
) -> None:
    head.headers["accept-language"] = "en"
    answer = await block(head, number)
    assert answer.status_code == 400
    assert "This number was not blocked" in visible(answer.text)
    assert f'value="{number}"' in answer.text
    assert await audited(engine) == []


@pytest.mark.parametrize(
    "changed", [{"hours": "0"}, {"hours": "721"}, {"hours": "x"}, {"reason": "dislike"}]
)
async def test_a_block_needs_an_end_and_a_reason(
    head: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    assert (await block(head, **changed)).status_code == 400
    assert (await head.get("/api/v1/blocked")).json() == []


async def test_only_supervisors_are_led_to_the_page(enter: Enter) -> None:
    for role, led in ((Role.SENIOR, True), (Role.CONSULTANT, False)):
        async with enter(role) as client:
            assert ('href="/blocked"' in (await client.get("/appeals")).text) == led


async def test_an_urgent_appeal_is_marked_in_the_list_on_its_page_and_in_the_api(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    assert (await head.get(f"/api/v1/appeals/{call.number}")).json()["urgent"] == []
    assert "in danger" not in visible((await head.get("/appeals")).text)
    async with unit_of_work(engine) as connection:
        await appeals.set_urgent(connection, appeal_id=call.id, urgent=["silent", "danger"])
    assert "cannot speak, in danger" in visible((await head.get("/appeals")).text)
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "Urgent cannot speak, in danger" in page
    api = (await head.get(f"/api/v1/appeals/{call.number}")).json()
    assert api["urgent"] == ["silent", "danger"]
