"""Who answers for an appeal: it is given to somebody, and what people leave behind is moved."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity import store as users
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, visible
from tests.web.conftest import RECEIVED, Call, Enter, add_user, open_call
from tests.web.test_records import WHOLE, rows, send
from tests.web.test_work_lists import listed


async def take_into_work(client: httpx.AsyncClient, number: str) -> None:
    assert (await send(client, number, version=0, **WHOLE)).status_code == 303
    assert (await send(client, number, "move", version=1, after="in_work")).status_code == 303


async def give_all(client: httpx.AsyncClient, **values: str) -> httpx.Response:
    token = await form_token(client, "/work?list=departed")
    return await client.post("/assign-appeals", data={"form_token": token} | values)


async def audited(engine: AsyncEngine, action: str) -> list[tuple[str, dict[str, object]]]:
    found = await rows(engine, "SELECT action, subject, detail FROM audit_entry ORDER BY id")
    return [(row[1], row[2]) for row in found if row[0] == action]


async def test_an_appeal_is_given_to_somebody_with_a_reason(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    await add_user(engine, "aigerim", Role.CONSULTANT)
    await take_into_work(head, call.number)
    [(before,)] = await rows(engine, "SELECT owner FROM record")
    given = {"version": 2, "owner": "aigerim", "reason": "Она знает семью"}
    assert (await send(head, call.number, "assign", **given)).status_code == 303
    assert await rows(engine, "SELECT owner, version, stage FROM record") == [
        ("aigerim", 3, "in_work")
    ]
    assert await audited(engine, "web:record:assigned") == [
        (f"appeal:{call.number}", {"before": before, "after": "aigerim"})
    ]
    head.headers["accept-language"] = "en"
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "Given to aigerim: Она знает семью" in page
    assert (await head.get("/search", params={"owner": "aigerim"})).text.count("data-row") == 1
    # Whoever saw the version before does not give it away.
    assert (await send(head, call.number, "assign", **given)).status_code == 409


@pytest.mark.parametrize(
    "wrong", [{"owner": "nobody"}, {"owner": "gone"}, {"owner": "auditor"}, {"reason": " "}]
)
async def test_an_appeal_is_given_to_nobody_who_cannot_work(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, wrong: dict[str, str]
) -> None:
    for name, role in (
        ("aigerim", Role.CONSULTANT),
        ("gone", Role.CONSULTANT),
        ("auditor", Role.AUDITOR),
    ):
        await add_user(engine, name, role)
    async with unit_of_work(engine) as connection:
        await users.set_active(connection, name="gone", active=False)
    await take_into_work(head, call.number)
    values = {"version": "2", "owner": "aigerim", "reason": "Почему"} | wrong
    assert (await send(head, call.number, "assign", **values)).status_code == 400
    assert await rows(engine, "SELECT version FROM record") == [(2,)]
    assert await audited(engine, "web:record:assigned") == []


async def test_appeals_of_who_left_are_listed_and_moved(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    opened = [await open_call(engine, each, RECEIVED) for each in ("call-2", "call-3")]
    numbers = [call.number, *(number for _, number in opened)]
    await add_user(engine, "aigerim", Role.CONSULTANT)
    async with enter(Role.CONSULTANT) as leaver:
        for number in numbers:
            await take_into_work(leaver, number)
        [(name,)] = await rows(engine, "SELECT DISTINCT owner FROM record")
        assert await listed(head, "departed") == []
        async with unit_of_work(engine) as connection:
            await users.set_active(connection, name=name, active=False)
    assert sorted(await listed(head, "departed")) == sorted(numbers)
    head.headers["accept-language"] = "en"
    assert f"{name} · 3 · left" in visible((await head.get("/work?list=departed")).text)
    refused = await give_all(head, before=name, owner="aigerim", reason="")
    assert refused.status_code == 400
    assert "They were not given" in refused.text
    assert (await give_all(head, before=name, owner=name, reason="x")).status_code == 400
    moved = await give_all(head, before=name, owner="aigerim", reason="Уволена")
    assert moved.status_code == 303
    assert await listed(head, "departed") == []
    assert await rows(engine, "SELECT DISTINCT owner FROM record") == [("aigerim",)]
    assert await audited(engine, "web:records:assigned") == [
        (f"user:{name}", {"after": "aigerim", "appeals": 3, "reason": "Уволена"})
    ]
    # Nothing is left to give.
    assert (await give_all(head, before=name, owner="aigerim", reason="x")).status_code == 400


async def test_a_consultant_gives_no_appeals(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    await take_into_work(head, call.number)
    async with enter(Role.CONSULTANT) as client:
        page = (await client.get(f"/appeals/{call.number}")).text
        assert "/record/assign" not in page
        assert "/assign-appeals" not in (await client.get("/work?list=departed")).text
        sent = await send(client, call.number, "assign", version=2, owner="x", reason="x")
        assert sent.status_code == 403
