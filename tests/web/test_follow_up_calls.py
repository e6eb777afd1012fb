"""Follow-up calls: offered after danger, made by the same consultant, bounded and counted."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.rules.follow_up_calls import ATTEMPTS_LIMIT, RETRY_AFTER
from callcenter.appeals.tables import follow_up_call
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call
from tests.web.test_contact_pages import note
from tests.web.test_presence import link
from tests.web.test_records import rows, send
from tests.web.test_work_lists import alerts, listed, put

OFFER = "Offer another call in one to three days."
RESULTS = "SELECT result, attempts, ended_by FROM follow_up_call"


def noon(days: int) -> str:
    """Noon so many days from today, as it is typed."""
    return f"{datetime.now(ZONE).date() + timedelta(days=days)}T12:00"


@pytest.fixture
async def recent(engine: AsyncEngine, call: Call) -> Call:
    """A call of today."""
    await change(engine, call, received_at=datetime.now(UTC))
    return call


@pytest.fixture
async def danger(engine: AsyncEngine, recent: Call) -> Call:
    """A call whose caller said by key to be in danger."""
    await change(engine, recent, urgent=["danger"])
    return recent


async def change(engine: AsyncEngine, call: Call, **values: Any) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(update(appeal).where(appeal.c.id == call.id).values(values))


async def post(client: httpx.AsyncClient, call: Call, path: str = "", **data: str) -> int:
    token = await form_token(client, f"/appeals/{call.number}")
    path = f"/appeals/{call.number}/follow-ups{path}"
    return (await client.post(path, data=data | {"form_token": token})).status_code


async def missed(client: httpx.AsyncClient, call: Call, follow_up: UUID, before: int) -> int:
    """Note an attempt that reached nobody, after so many before it."""
    result = {"result": "not_reached", "before": str(before)}
    return await post(client, call, f"/{follow_up}", **result)


async def called(engine: AsyncEngine, call: Call, number: str) -> UUID:
    """Somebody called this number about the appeal, and nobody answered."""
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        made = await outbound_calls.begin(
            connection,
            appeal_id=call.id,
            call_id="-",
            number=number,
            consultant_id=None,
            began_at=now,
        )
        await outbound_calls.close(connection, made.id, outcome="not_reached", ended_at=now)
    return made.id


async def shown(client: httpx.AsyncClient, call: Call) -> str:
    client.headers["accept-language"] = "en"
    return visible((await client.get(f"/appeals/{call.number}/panel")).text)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "danger"},
        {"f.danger": "yes", "f.danger_reason": "-"},
        {"f.topics": ["mental", "mental_suicide"]},
        {"f.topics": "mental_suicide"},
    ],
    ids=str,
)
async def test_another_call_is_offered_after_what_the_record_says(
    head: httpx.AsyncClient, recent: Call, record: dict[str, str]
) -> None:
    await send(head, recent.number, version=0, **{"f.content": "-", "f.topics": "mental"})
    assert OFFER not in await shown(head, recent)
    assert await post(head, recent, at=noon(1)) == 400
    assert (await send(head, recent.number, version=1, **{"f.content": "-", **record})).is_redirect
    assert OFFER in await shown(head, recent)


async def test_pages_remind_of_the_offer_for_three_days(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    assert OFFER in await shown(head, danger)
    await change(engine, danger, received_at=datetime.now(UTC) - timedelta(days=3, minutes=1))
    assert OFFER not in await shown(head, danger)
    assert await post(head, danger, at=noon(1)) == 303  # whoever still thinks of it


async def test_no_call_is_offered_where_none_is_safe(head: httpx.AsyncClient, danger: Call) -> None:
    await note(head, danger.number, allowed="true", channel="call", start="10:00", end="11:00")
    assert OFFER in await shown(head, danger)
    assert await post(head, danger, at=noon(1)) == 400  # that is another hour
    await note(head, danger.number, allowed="false", channel="call")
    page = await shown(head, danger)
    assert OFFER not in page
    assert "There is no number at which a call is safe." in page


async def test_the_same_consultant_calls_within_three_days(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    async with enter(Role.CONSULTANT) as consultant:
        await link(engine, Role.CONSULTANT, "2001")  # who talked in that call
        for days in (0, 4):
            assert await post(head, danger, at=noon(days)) == 400
        assert await post(head, danger, at=noon(1)) == 303
        assert await post(head, danger, at=noon(1)) == 400  # one is booked
        [(who,)] = await rows(engine, "SELECT user_name FROM follow_up_call")
        assert f"Follow-up call by {who}" in await shown(head, danger)
        [(own,)] = await rows(engine, "SELECT name FROM web_user WHERE role = 'consultant'")
        assert who == own
        await _due(engine, timedelta())
        assert await listed(consultant, "follow_ups") == [danger.number]
        assert await listed(head, "follow_ups") == []
        [(call_id,)] = await rows(engine, "SELECT id FROM follow_up_call")
        reached = {"result": "reached", "before": "0"}
        assert await post(consultant, danger, f"/{call_id}", **reached) == 303
        assert await post(consultant, danger, f"/{call_id}", **reached) == 404
        assert await listed(consultant, "follow_ups") == []
        assert await rows(engine, RESULTS) == [("reached", 0, f"user:{own}")]
    audited = "SELECT action FROM audit_entry WHERE action LIKE 'web:follow_up:%' ORDER BY id"
    assert await rows(engine, audited) == [("web:follow_up:booked",), ("web:follow_up:ended",)]


async def test_attempts_that_reach_nobody_are_bounded(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    await post(head, danger, at=noon(1))
    [(call_id,)] = await rows(engine, "SELECT id FROM follow_up_call")
    for attempts in range(1, ATTEMPTS_LIMIT):
        before = datetime.now(UTC)
        for status in (303, 404):  # the form was sent twice: it is one attempt
            assert await missed(head, danger, call_id, attempts - 1) == status
        [(due_at, count, result)] = await rows(
            engine, "SELECT due_at, attempts, result FROM follow_up_call"
        )
        assert (count, result) == (attempts, None)
        assert before + RETRY_AFTER <= due_at <= datetime.now(UTC) + RETRY_AFTER
    assert await missed(head, danger, call_id, ATTEMPTS_LIMIT - 1) == 303
    [(result, count, _)] = await rows(engine, RESULTS)
    assert (result, count) == ("not_reached", ATTEMPTS_LIMIT)


async def test_a_declined_call_was_offered(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    for _ in range(2):  # the form was sent twice
        assert await post(head, danger, "/declined") == 303
    assert OFFER not in await shown(head, danger)
    [(result, _, _)] = await rows(engine, RESULTS)
    assert result == "declined"
    assert await post(head, danger, at=noon(1)) == 303  # whoever thinks better of it


async def test_the_next_attempt_waits_for_hours_that_are_safe(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    await post(head, danger, at=noon(1))
    [(call_id,)] = await rows(engine, "SELECT id FROM follow_up_call")
    begin, end = (datetime.now(ZONE) + timedelta(hours=hours) for hours in (5, 6))
    hours = {"start": f"{begin:%H:%M}", "end": f"{end:%H:%M}"}
    await note(head, danger.number, allowed="true", channel="call", **hours)
    assert await missed(head, danger, call_id, 0) == 303
    [(due_at,)] = await rows(engine, "SELECT due_at FROM follow_up_call")
    assert due_at == begin.replace(second=0, microsecond=0)
    await note(head, danger.number, allowed="false", channel="call")
    assert "There is no number at which a call is safe." in await shown(head, danger)
    assert await missed(head, danger, call_id, 1) == 303
    [(result, count, _)] = await rows(engine, RESULTS)
    assert (result, count) == ("not_reached", 2)


async def test_calls_that_were_made_stand_beside_their_result(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    await post(head, danger, at=noon(1))
    made = [await called(engine, danger, number) for number in (CALLER, "109")]
    page = await shown(head, danger)
    assert page.count("The called party did not answer") == 1  # 109 is a body
    [(call_id,)] = await rows(engine, "SELECT id FROM follow_up_call")
    await missed(head, danger, call_id, 0)
    noted = "SELECT detail FROM audit_entry WHERE action = 'web:follow_up:ended'"
    detail = {"result": "not_reached", "attempts": 1, "call": str(made[0])}
    assert await rows(engine, noted) == [(detail,)]


async def test_where_there_was_no_request_nobody_is_called(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    await post(head, danger, at=noon(1))
    await _due(engine, timedelta(hours=3))
    assert await listed(head, "missed_follow_ups") == [danger.number]
    await send(head, danger.number, "no-request", version=0, disposition="prank")
    assert await listed(head, "missed_follow_ups") == []
    assert await post(head, danger, at=noon(1)) == 400
    whose = "SELECT user_name, booked_by, ended_by FROM follow_up_call"
    assert await rows(engine, whose) == [("", "", "")]


async def test_a_call_goes_on_in_the_appeal_that_goes_on(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    _, other = await open_call(engine, "call-2", datetime.now(UTC))
    for number in (danger.number, other):
        await send(head, number, version=0, **{"f.content": "-"})
    await post(head, danger, at=noon(1))
    await _due(engine, timedelta(hours=3))
    joined = await send(head, danger.number, "join", version=1, into=other, reason="Одно и то же")
    assert joined.status_code == 303
    assert await listed(head, "missed_follow_ups") == [other]
    head.headers["accept-language"] = "en"
    assert "Follow-up call by head-" in visible((await head.get(f"/appeals/{other}")).text)


async def test_a_call_that_nobody_made_alerts_supervisors_once(
    head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, settings: Settings, danger: Call
) -> None:
    async def raised() -> int:
        await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
        return (await alerts(redis)).get("follow_up_missed", 0)

    await post(head, danger, at=noon(1))
    await _due(engine, timedelta(minutes=5))
    assert (await raised(), await listed(head, "missed_follow_ups")) == (0, [])
    await _due(engine, timedelta(hours=3))
    for _ in range(2):
        assert await raised() == 1
    assert await listed(head, "missed_follow_ups") == [danger.number]


async def test_who_left_makes_no_call(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    async with enter(Role.CONSULTANT):
        await link(engine, Role.CONSULTANT, "2001")
        await post(head, danger, at=noon(1))
        await put(engine, "UPDATE web_user SET active = false WHERE role = 'consultant'")
        await _due(engine, timedelta(minutes=1))
        assert await listed(head, "missed_follow_ups") == [danger.number]


async def test_the_share_of_follow_up_calls_is_a_figure(
    head: httpx.AsyncClient, engine: AsyncEngine, danger: Call
) -> None:
    await post(head, danger, at=noon(1))
    [(call_id,)] = await rows(engine, "SELECT id FROM follow_up_call")
    await post(head, danger, f"/{call_id}", result="reached", before="0")
    [(received_at,)] = await rows(engine, "SELECT received_at FROM appeal")
    day: date = received_at.astimezone(ZONE).date()
    params = {"since": f"{day}", "until": f"{day}"}
    head.headers["accept-language"] = "en"
    figures = visible((await head.get("/figures", params=params)).text)
    assert "100% Talked with again 1 · Another call offered: 1 · Calls at risk: 1" in figures
    for measure in ("at_risk", "follow_up_offered", "followed_up"):
        listed = await head.get("/figures/calls", params=params | {"measure": measure})
        assert danger.number in listed.text


async def _due(engine: AsyncEngine, late_by: timedelta) -> None:
    """Have each call be due so long ago."""
    async with unit_of_work(engine) as connection:
        due_at = datetime.now(UTC) - late_by
        await connection.execute(update(follow_up_call).values(due_at=due_at))
