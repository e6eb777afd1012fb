"""The page of plans for frequent callers, and what the consultant who is offered one is told."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.callers.care_plans import store
from callcenter.telephony.callers.care_plans.service import today
from callcenter.telephony.callers.care_plans.tables import caller_plan
from callcenter.telephony.callers.history import erase_ended
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter
from tests.web.test_presence import link

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


async def test_a_care_plan_is_made_reviewed_shown_and_ended(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    assert "There are no plans." in visible((await head.get("/plans")).text)
    assert (await make(head, number="8 701 234 56 67")).status_code == 303
    (plan,) = (await head.get("/api/v1/plans")).json()
    assert (plan["number"], plan["extension"]) == ("+7 701 *** ** 67", "2001")
    assert plan["review_on"] == IN_A_MONTH
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
    past = await head.post(f"{found[1]}/review", data=token | {"review_on": "2020-01-01"})
    assert past.status_code == 400
    assert "The plan was not extended" in visible(past.text)
    assert past.text.count('value="2020-01-01"') == 1  # beside the plan, not in the form of another
    assert (await head.post(f"{found[1]}/end", data=token)).status_code == 303
    for step in ("end", "review"):
        gone = await head.post(f"{found[1]}/{step}", data=token | {"review_on": later})
        assert gone.status_code == 404
        assert "decided on it meanwhile" in visible(gone.text)
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


async def test_the_consultant_whose_telephone_rings_sees_what_was_agreed(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    await make(head)
    async with enter(Role.CONSULTANT) as client:
        await link(engine, Role.CONSULTANT, "2001")
        assert (await client.get("/api/v1/calls/mine/caller")).status_code == 400
        await redis.hset("desk:holders", "2001", "call-1 line-1")
        reported = (await client.get("/api/v1/calls/mine/caller")).json()
        assert reported["appeal"] == call.number
        assert reported["plan"]["note"] == "Speaks little: wait."
        await redis.hset("desk:holders", "2001", "outgoing-1 line-1")
        assert (await client.get("/api/v1/calls/mine/caller")).status_code == 404


@pytest.mark.usefixtures("call")
async def test_a_plan_is_erased_long_after_its_end(
    head: httpx.AsyncClient, settings: Settings, engine: AsyncEngine
) -> None:
    await make(head)
    await make(head, note="The plan in its place.")  # the first one has ended
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    left = []
    for days in (1, settings.caller_history_days + 1):
        await erase_ended(tools, store.delete_ended, now + timedelta(days=days))
        async with unit_of_work(engine) as connection:
            left.append(len((await connection.execute(select(caller_plan.c.id))).all()))
    assert left == [2, 1]
    assert [each["note"] for each in (await head.get("/api/v1/plans")).json()] == [
        "The plan in its place."
    ]
