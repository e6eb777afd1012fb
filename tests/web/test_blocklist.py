"""The page of blocked numbers, for supervisors."""

import re

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.demands import service
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work, within
from callcenter.telephony.callers.blocklist.tables import blocked_number
from tests.demands.conftest import OFFICER, demand_form
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, RECEIVED, Call, Enter
from tests.web.test_care_plans import make

MASKED = "+7 701 *** ** 67"
OF_CALLER = SearchCriteria(caller_number=CALLER, since=RECEIVED, until=RECEIVED)
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
    assert CALLER not in text
    assert [each["number"] for each in (await head.get("/api/v1/blocked")).json()] == [MASKED]
    found = LIFT.search((await head.get("/blocked")).text)
    assert found is not None
    token = await form_token(head, "/blocked")
    await head.post(found[1], data={"form_token": token})
    text = await shown(head)
    assert "No number is blocked." in text
    assert MASKED in text.partition("Blocked before")[2]
    assert (await head.get("/api/v1/blocked")).json() == []
    twice = await head.post(found[1], data={"form_token": token})
    assert twice.status_code == 404
    assert "decided on it meanwhile" in visible(twice.text)
    assert "Blocked before" in visible(twice.text)
    async with unit_of_work(engine) as connection:
        identity, until = (
            await connection.execute(select(blocked_number.c.id, blocked_number.c.until))
        ).one()
    detail = {
        "number": MASKED,
        "until": until.isoformat(timespec="seconds"),
        "reason": "insults",
    }
    assert await audited(engine) == [
        ("web:block:made", f"block:{identity}", detail),
        ("web:block:lifted", f"block:{identity}", {"number": MASKED}),
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
            assert ('href="/blocked"' in (await client.get("/search")).text) == led


async def test_an_urgent_appeal_is_marked_in_list_page_and_api(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    assert (await head.get(f"/api/v1/appeals/{call.number}")).json()["urgent"] == []
    assert "in danger" not in visible((await head.get("/search")).text)
    async with unit_of_work(engine) as connection:
        urgent = appeals.AppealUpdate(call.id, urgent=["silent", "danger"])
        await appeals.change_appeals(within(connection), [urgent])
    assert "cannot speak, in danger" in visible((await head.get("/search")).text)
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "Urgent cannot speak, in danger" in page
    api = (await head.get(f"/api/v1/appeals/{call.number}")).json()
    assert api["urgent"] == ["silent", "danger"]


async def test_numbers_in_lists_are_shown_whole_for_a_reason(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert (await block(head)).status_code == 303
    assert (await make(head)).status_code == 303
    demand = await service.register(engine, OFFICER, demand_form(criteria=OF_CALLER))
    for path in ("/blocked", "/plans", f"/demands/{demand.number}"):
        text = (await head.get(path)).text
        assert (CALLER in text, MASKED in text) == (False, True), path
        [showing] = re.findall(r'action="([^"]*/number)"', text)
        token = await form_token(head, path)
        refused = await head.post(showing, data={"form_token": token, "reason": " "})
        assert (refused.status_code, CALLER in refused.text) == (400, False), path
        given = await head.post(showing, data={"form_token": token, "reason": "Скорой"})
        assert (given.status_code, CALLER in given.text) == (200, True), path
        assert CALLER not in (await head.get(path)).text
    query = (
        select(audit_entry.c.subject, audit_entry.c.detail)
        .where(audit_entry.c.action == "web:number:shown")
        .order_by(audit_entry.c.id)
    )
    async with unit_of_work(engine) as connection:
        entries = [tuple(row) for row in await connection.execute(query)]
    assert [subject.partition(":")[0] for subject, _ in entries] == ["block", "plan", "demand"]
    assert all(detail == {"reason": "Скорой"} for _, detail in entries)
