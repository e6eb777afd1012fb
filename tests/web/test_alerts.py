"""Alerts on the board: grouped, the gravest first, each until its owner acknowledges it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.alerts import APPEAL_OVERDUE, DANGER_WAITS, MANY_VIEWED
from callcenter.demands.alerts import DEMAND_OVERDUE
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import (
    MAX_OPEN,
    OPEN,
    AlertKind,
    raise_alert,
    raise_alert_once,
)
from callcenter.platform.monitoring.severity import AlertOwner
from callcenter.platform.web.authorization import route_permissions
from callcenter.telephony.acd.alerts import (
    NOBODY_SIGNED_IN,
    NOT_RECORDED,
    RECORDED_AGAIN,
    URGENT_WAITS,
)
from callcenter.telephony.controller.alerts import DISK_FILLS
from tests.polling import until
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.live import line, person
from tests.web.test_join_call import audited
from tests.web.test_presence import post
from tests.web.test_records import rows

DANGER = "An appeal is urgent and nobody has passed it on"
OVERDUE = "The term of an appeal is over"


@pytest.fixture
async def senior(
    enter: Enter, redis: Redis, settings: Settings
) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(Role.SENIOR) as client, line(redis, settings, "line-1", person("201")):
        client.headers["accept-language"] = "en"
        yield client


async def test_two_hundred_overdue_appeals_push_out_no_danger(
    senior: httpx.AsyncClient, redis: Redis
) -> None:
    await raise_alert_once(redis, DANGER_WAITS, "", "urgent:26-1")
    await raise_alert(redis, NOT_RECORDED, "kk", about="not_recorded:1.1")
    await raise_alert(redis, NOBODY_SIGNED_IN, "ru")
    for number in range(200):
        await raise_alert_once(redis, APPEAL_OVERDUE, "", f"overdue:26-{number}")
    shown = (await senior.get("/api/v1/live")).json()["desk"]["alarms"]
    counted = [(each["kind"], each["count"]) for each in shown]
    assert set(counted[:2]) == {(NOT_RECORDED.key, 1), (DANGER_WAITS.key, 1)}
    assert counted[2:] == [(NOBODY_SIGNED_IN.key, 1), (APPEAL_OVERDUE.key, 200)]
    for path in ("/live", "/live/alarms"):
        page = (await senior.get(path)).text
        text = visible(page)
        assert text.index(DANGER) < text.index(OVERDUE)
        assert f"{OVERDUE}: see the work lists. · 200" in text
        assert 'href="/work?list=overdue"' in page
        assert page.count(" data-sounds") == 2  # of the two critical ones


async def acknowledge(client: httpx.AsyncClient, alert: dict[str, Any]) -> httpx.Response:
    return await post(client, "/live/alarms/acknowledge", id=alert["id"], seen=str(alert["at"]))


async def test_an_alert_stays_until_it_is_acknowledged_by_name(
    senior: httpx.AsyncClient, redis: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as yesterday:
        yesterday.setattr(time, "time", lambda: 1_764_230_400.0)
        await raise_alert_once(redis, DANGER_WAITS, "", "urgent:26-1")
        await raise_alert(redis, APPEAL_OVERDUE)
    board = visible((await senior.get("/live")).text)
    assert DANGER in board
    assert OVERDUE in board
    danger, _ = (await senior.get("/api/v1/live")).json()["desk"]["alarms"]
    assert (await acknowledge(senior, danger)).status_code == 303
    page = visible((await senior.get("/live/alarms")).text)
    assert page.index(OVERDUE) < page.index("Acknowledged in the last day") < page.index(DANGER)
    [(who,)] = await rows(engine, "SELECT name FROM web_user")
    assert f"{who} · {DANGER}" in page

    async def left_the_board() -> bool:
        return DANGER not in visible((await senior.get("/live")).text)

    await until(left_the_board, "the board shows it no more")
    assert await audited(engine) == [
        (
            "web:alarm:acknowledged",
            "alarm:urgent:26-1",
            {
                "kind": "danger_waits",
                "language": "",
                "raised_at": "2025-11-27T08:00:00+00:00",
                "alerts": 1,
                "covers": "urgent:26-1",
            },
        )
    ]
    again = await acknowledge(senior, danger)
    assert again.status_code == 409
    assert "acknowledged this alarm already" in visible(again.text)
    refused = await post(
        senior, "/api/v1/alarms/acknowledge", id=danger["id"], seen=str(danger["at"])
    )
    assert refused.status_code == 409


async def test_nobody_acknowledges_a_danger_unseen(senior: httpx.AsyncClient, redis: Redis) -> None:
    await raise_alert(redis, URGENT_WAITS, "kk", about="urgent:1.1")
    [seen] = (await senior.get("/api/v1/live")).json()["desk"]["alarms"]
    await raise_alert(redis, URGENT_WAITS, "kk", about="urgent:2.2")
    assert (await acknowledge(senior, seen)).status_code == 303
    assert await redis.hkeys(OPEN) == ["urgent:2.2"]


async def test_what_is_raised_again_is_one_alert_until_then(redis: Redis) -> None:
    for _ in range(2):
        await raise_alert(redis, NOT_RECORDED, "kk", about="not_recorded:1.1")
        await raise_alert(redis, NOBODY_SIGNED_IN, "kk")
    assert set(await redis.hkeys(OPEN)) == {"not_recorded:1.1", "nobody_signed_in:kk"}
    assert await redis.hget("desk:alarm_counts", NOT_RECORDED.key) == "2"


async def test_more_alerts_than_can_be_read_add_one_more(redis: Redis) -> None:
    await redis.hset(OPEN, mapping={f"overdue:{number}": "{}" for number in range(MAX_OPEN)})
    for number in range(3):
        await raise_alert(redis, APPEAL_OVERDUE, about=f"overdue:26-{number}")
        await raise_alert(redis, DANGER_WAITS, about=f"urgent:26-{number}")
    assert await redis.hlen(OPEN) == MAX_OPEN + 1 + 3


async def test_what_is_right_again_needs_no_acknowledgement(
    senior: httpx.AsyncClient, redis: Redis
) -> None:
    await raise_alert(redis, RECORDED_AGAIN, "kk")
    [passing] = (await senior.get("/api/v1/live")).json()["desk"]["alarms"]
    assert passing["id"] == ""
    assert await redis.hlen(OPEN) == 0


@pytest.mark.parametrize(
    ("kind", "role", "status"),
    [
        (NOT_RECORDED, Role.ADMINISTRATOR, 403),
        (NOT_RECORDED, Role.AUDITOR, 403),
        (MANY_VIEWED, Role.SENIOR, 403),
        (MANY_VIEWED, Role.HEAD, 303),
        (DISK_FILLS, Role.SENIOR, 403),
        (DISK_FILLS, Role.ADMINISTRATOR, 303),
        (DEMAND_OVERDUE, Role.RECORDS_OFFICER, 303),
    ],
)
async def test_an_alert_is_acknowledged_by_its_owner_or_the_head(
    enter: Enter, redis: Redis, kind: AlertKind, role: Role, status: int
) -> None:
    await raise_alert(redis, kind)
    async with enter(role) as client:
        answer = await acknowledge(client, {"id": f"{kind.key}:", "at": time.time()})
        assert answer.status_code == status
        if role is not Role.AUDITOR:
            page = (await client.get("/live/alarms")).text
            assert 'action="/live/alarms/acknowledge"' not in page
    assert await redis.hlen(OPEN) == (0 if status == 303 else 1)


def test_every_alert_leads_where_its_owner_may_go(app: FastAPI) -> None:
    required = {
        path: permission for path, methods, permission in route_permissions(app) if "GET" in methods
    }
    for kind in offers(AlertKind):
        for owner in (kind.owner, AlertOwner.HEAD):
            permission = required[kind.path.partition("?")[0]]
            assert Role(owner.value) in permission.granted_to, (kind.key, owner)


async def test_who_takes_an_alert_is_shown_to_all(
    senior: httpx.AsyncClient, enter: Enter, redis: Redis, engine: AsyncEngine
) -> None:
    await raise_alert_once(redis, DANGER_WAITS, "", "urgent:26-1")
    [danger] = (await senior.get("/api/v1/live")).json()["desk"]["alarms"]
    values = {"id": danger["id"], "seen": str(danger["at"])}
    assert "Taken by" not in visible((await senior.get("/live/alarms")).text)
    assert (await post(senior, "/live/alarms/take", **values)).status_code == 303
    [(who,)] = await rows(engine, "SELECT name FROM web_user")
    page = (await senior.get("/live/alarms")).text
    assert f"Taken by: {who}" in visible(page)
    assert 'formaction="/live/alarms/take"' not in page
    async with enter(Role.HEAD) as head:
        head.headers["accept-language"] = "en"

        async def is_on_the_board() -> bool:
            return f"Taken by: {who}" in visible((await head.get("/live")).text)

        await until(is_on_the_board, "the board says who sees to it")
        assert (await post(head, "/live/alarms/take", **values)).status_code == 303
        assert f"Taken by: {who}" not in visible((await head.get("/live/alarms")).text)
    async with enter(Role.ADMINISTRATOR) as other:  # it is not theirs
        assert (await post(other, "/live/alarms/take", **values)).status_code == 403
    assert await redis.hexists(OPEN, "urgent:26-1")
    assert [action for action, _, _ in await audited(engine)].count("web:alarm:taken") == 2
    # Once it is acknowledged nobody takes it.
    assert (await acknowledge(senior, danger)).status_code == 303
    assert (await post(senior, "/live/alarms/take", **values)).status_code == 409
    assert not await redis.exists(OPEN)
