"""Whom a fault cut off from a consultant is called back only when a person decides so."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import Executable, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import labels
from callcenter.appeals.calls.dropped_calls import (
    ALERT_AFTER,
    DECISION_LIMIT,
    EVENT_KIND,
    NoCallbackReason,
)
from callcenter.appeals.calls.tables import appeal, outgoing_call
from callcenter.appeals.jobs import alert_of_late_work
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.wallboard.store import read_today
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call

GOAL = timedelta(seconds=20)


async def cut(engine: AsyncEngine, call: Call, ago: timedelta = timedelta(minutes=1)) -> None:
    """The switch died under this conversation, so long ago."""
    ended_at = datetime.now(UTC) - ago
    began_at = ended_at - timedelta(minutes=1)
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(appeal)
            .where(appeal.c.id == call.id)
            .values(outcome="lost_to_a_fault", received_at=began_at, ended_at=ended_at)
        )


async def to_decide(client: httpx.AsyncClient) -> list[str]:
    """By the API and by the list, which agree."""
    reported = [each["appeal"] for each in (await client.get("/api/v1/cut-off-calls")).json()]
    page = (await client.get("/work?list=cut_off")).text
    assert all(number in page for number in reported)
    assert bool(reported) is ("data-row" in page)
    return reported


async def decide(client: httpx.AsyncClient, number: str, reason: str) -> int:
    token = await form_token(client, "/search")
    answer = await client.post(
        f"/api/v1/appeals/{number}/not-called-back", data={"reason": reason, "form_token": token}
    )
    return answer.status_code


async def test_a_cut_off_caller_is_listed_until_a_decision(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert await to_decide(head) == []
    assert await decide(head, call.number, "unsafe") == 400
    await cut(engine, call)
    assert await to_decide(head) == [call.number]
    async with unit_of_work(engine) as connection:
        assert (await read_today(connection, datetime.now(UTC), GOAL)).cut_off == 1
    head.headers["accept-language"] = "en"
    assert "A fault cut callers off: 1." in visible((await head.get("/live")).text)
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert await to_decide(client) == [call.number]
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "It may be unsafe to call" in page
        assert "Ring back" in page
        assert await decide(client, call.number, "because") in (400, 422)
        assert await decide(client, call.number, "unsafe") == 204
        assert await decide(client, call.number, "no_need") == 400
        late = {"reason": "no_need", "form_token": await form_token(client, "/search")}
        again = await client.post(f"/appeals/{call.number}/not-called-back", data=late)
        assert (again.status_code, "decided on it meanwhile" in again.text) == (400, True)
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "It may be unsafe to call" not in page
        assert "It was decided not to call back it could harm the caller" in page
    assert await to_decide(head) == []


@pytest.mark.parametrize("how", ["called again", "called back", "in the fallback", "long ago"])
async def test_who_was_spoken_with_since_needs_no_decision(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, how: str
) -> None:
    now = datetime.now(UTC)
    await cut(engine, call, DECISION_LIMIT if how == "long ago" else timedelta(minutes=1))
    other, _ = await open_call(engine, "call-2", now)
    talked = {"began_at": now, "ended_at": now, "outcome": "talked"}
    called = {"id": uuid4(), "appeal_id": call.id, "ordinal": 1, "number": CALLER, "call_id": "o-1"}
    since: dict[str, Executable] = {
        "called again": update(appeal)
        .where(appeal.c.id == other)
        .values(outcome="talked", ended_at=now),
        "called back": insert(outgoing_call).values(**called, **talked),
        "in the fallback": update(appeal).where(appeal.c.id == call.id).values(outcome="fallback"),
    }
    if how in since:
        async with unit_of_work(engine) as connection:
            await connection.execute(since[how])
    assert await to_decide(head) == []


async def test_an_ignored_dropped_call_alerts_supervisors_once(
    settings: Settings, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    await cut(engine, call, ALERT_AFTER / 2)
    tools = WorkerResources(settings, engine)
    await alert_of_late_work(tools, redis, datetime.now(UTC))
    assert await redis.hgetall("desk:alarm_counts") == {}
    for _ in range(2):
        await alert_of_late_work(tools, redis, datetime.now(UTC) + ALERT_AFTER)
    assert await redis.hgetall("desk:alarm_counts") == {"cut_off_waits": "1"}


def test_every_reason_has_words() -> None:
    assert list(labels.NO_CALLBACK_REASONS) == [reason.value for reason in NoCallbackReason]
    assert CallEvent.NOT_CALLED_BACK == EVENT_KIND
