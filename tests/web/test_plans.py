"""The page of plans for frequent callers, and what the consultant who is offered one is told."""

import re
from datetime import timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.plans.planning import today
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter
from tests.web.test_duty import link

END = re.compile(r'action="(/plans/[0-9a-f-]{36})/end"')
IN_A_MONTH = (today() + timedelta(days=30)).isoformat()


async def make(client: httpx.AsyncClient, **changed: str) -> httpx.Response:
    data = {
        "number": CALLER,
        "extension": "2001",
        "times": "Fridays",
        "note": "Speaks little: wait.",
        "review_on": IN_A_MONTH,
    } | changed
    return await client.post(
        "/plans", data=data | {"form_token": await form_token(client, "/plans")}
    )


async def test_a_plan_is_made_reviewed_shown_on_the_appeal_and_ended(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    assert "There are no plans." in visible((await head.get("/plans")).text)
    assert (await make(head, number="8 701 234 56 67")).status_code == 303
    (plan,) = (await head.get("/api/v1/plans")).json()
    assert (plan["number"], plan["extension"], plan["review_on"]) == (CALLER, "2001", IN_A_MONTH)
    assert "Speaks little: wait." in visible((await head.get(f"/appeals/{call.number}")).text)
    # A new plan replaces the first.
    assert (await make(head, note="Speaks more now.")).status_code == 303
    found = END.search((await head.get("/plans")).text)
    assert found is not None
    token = {"form_token": await form_token(head, "/plans")}
    later = (today() + timedelta(days=60)).isoformat()
    await head.post(f"{found[1]}/review", data=token | {"review_on": later})
    (plan,) = (await head.get("/api/v1/plans")).json()
    assert (plan["note"], plan["review_on"]) == ("Speaks more now.", later)
    assert (await head.post(f"{found[1]}/end", data=token)).status_code == 303
    assert (await head.post(f"{found[1]}/end", data=token)).status_code == 404
    assert (await head.get("/api/v1/plans")).json() == []
    assert "Speaks" not in visible((await head.get(f"/appeals/{call.number}")).text)
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.action, audit_entry.c.detail["number"].astext)
            .where(audit_entry.c.action.like("web:plan:%"))
            .order_by(audit_entry.c.id)
        )
        assert [tuple(row) for row in rows] == [
            (f"web:plan:{done}", "+7 701 *** ** 67")
            for done in ("made", "made", "reviewed", "ended")
        ]


@pytest.mark.parametrize(
    "changed",
    [
        {"number": "102"},
        {"extension": "999"},
        {"times": " "},
        {"note": "x" * 2001},
        {"review_on": "2020-01-01"},
        {"review_on": "2099-01-01"},
    ],
)
async def test_what_cannot_be_a_plan_is_said_beside_the_form(
    head: httpx.AsyncClient, call: Call, changed: dict[str, str]
) -> None:
    head.headers["accept-language"] = "en"
    answer = await make(head, **changed)
    assert answer.status_code == 400
    assert "No plan was made" in visible(answer.text)
    assert (await head.get("/api/v1/plans")).json() == []


async def test_the_consultant_whose_telephone_rings_is_told_what_was_agreed(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    await make(head)
    async with enter(Role.CONSULTANT) as client:
        await link(engine, Role.CONSULTANT, "2001")
        assert (await client.get("/api/v1/calls/mine/caller")).status_code == 400
        await redis.hset("desk:holders", "2001", "call-1 line-1")
        told = (await client.get("/api/v1/calls/mine/caller")).json()
        assert told["appeal"] == call.number
        assert told["plan"]["note"] == "Speaks little: wait."
        await redis.hset("desk:holders", "2001", "outgoing-1 line-1")
        assert (await client.get("/api/v1/calls/mine/caller")).status_code == 404
