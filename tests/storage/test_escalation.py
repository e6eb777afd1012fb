"""What nobody acknowledges goes outside the pages, once at least, and holds nothing personal."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.alerts import APPEAL_OVERDUE, DANGER_WAITS
from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN, raise_alert
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.acd.alerts import NOBODY_SIGNED_IN, NOT_RECORDED
from callcenter.telephony.controller.alerts import TRUNK_UNREGISTERED
from callcenter.wallboard import escalation
from callcenter.wallboard.escalation import (
    ESCALATE_AFTER,
    ESCALATED,
    MESSAGE_INTERVAL,
    REPEAT_AFTER,
    escalate,
)
from callcenter.workspace.alerts import HELP_REQUESTED
from tests.polling import until
from tests.smtp_server import SmtpMailbox, smtp_server

DANGER_AFTER = ESCALATE_AFTER[DANGER_WAITS.severity]
APPEAL = "2600000017"


@pytest.fixture
async def mailbox() -> AsyncIterator[SmtpMailbox]:
    async with smtp_server() as opened:
        yield opened


@pytest.fixture
def mailing(settings: Settings, mailbox: SmtpMailbox) -> Settings:
    return settings.model_copy(
        update={
            "smtp_url": SecretStr(mailbox.url),
            "mail_from": "111@example.kz",
            "alert_recipients": ("head@example.kz",),
            "public_url": "https://111.example.kz",
        }
    )


async def test_a_danger_nobody_acknowledges_is_mailed(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    now = time.time()
    await raise_alert(redis, DANGER_WAITS, about=f"urgent:{APPEAL}")
    await raise_alert(redis, HELP_REQUESTED, about="help_requested:204")
    for number in range(200):
        await raise_alert(redis, APPEAL_OVERDUE, about=f"overdue:{number}")
    await escalate(mailing, ours, now + DANGER_AFTER - 1)
    assert mailbox.messages == []
    for later in (2, 10, MESSAGE_INTERVAL + 3):  # once, whoever looks again
        await escalate(mailing, ours, now + DANGER_AFTER + later)
    [message] = mailbox.messages
    text = message.get_content()
    assert "Обращение срочное" in text
    assert "https://111.example.kz/live/alarms" in text
    assert APPEAL not in text
    assert "204" not in text
    await escalate(mailing, ours, now + DANGER_AFTER + REPEAT_AFTER[DANGER_WAITS.severity] + 3)
    assert len(mailbox.messages) == 2


async def test_a_mail_names_the_trunk_that_is_not_registered(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    await raise_alert(redis, TRUNK_UNREGISTERED, about="trunk_unregistered:kcell")
    await escalate(mailing, ours, time.time() + DANGER_AFTER + 1)
    [message] = mailbox.messages
    assert message.get_content().count("Оператор: kcell (") == 2  # in both languages


async def test_overdue_appeals_are_one_line_of_one_message(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    for number in range(200):
        await raise_alert(redis, APPEAL_OVERDUE, about=f"overdue:{number}")
    await escalate(mailing, ours, time.time() + ESCALATE_AFTER[APPEAL_OVERDUE.severity] + 1)
    [message] = mailbox.messages
    assert [line for line in message.get_content().splitlines() if "· 200" in line][1:2]


async def test_a_danger_that_comes_later_waits_for_no_repeat(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    at = time.time()
    for call, raised in (("1.1", at - 1000), ("2.2", at - DANGER_AFTER - 1)):
        alert = json.dumps({"kind": NOT_RECORDED.key, "language": "kk", "at": raised})
        await redis.hset(OPEN, f"not_recorded:{call}", alert)
    await redis.hset(ESCALATED, mapping={"mail not_recorded:kk": at - 500, "mail": at - 500})
    await escalate(mailing, ours, at)
    assert len(mailbox.messages) == 1


async def test_an_acknowledged_alert_raised_again_is_new(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    now = time.time()
    for turn in range(2):
        await raise_alert(redis, NOT_RECORDED, "kk", about="not_recorded:1.1")
        await escalate(mailing, ours, now + DANGER_AFTER + 1 + turn * MESSAGE_INTERVAL)
        assert len(mailbox.messages) == turn + 1
        await redis.delete(OPEN)
        await escalate(mailing, ours, now)
        assert await redis.hkeys(ESCALATED) == ["mail"]


async def test_a_worker_killed_in_between_sends_once_at_least(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    await raise_alert(redis, DANGER_WAITS, about=f"urgent:{APPEAL}")
    later = time.time() + DANGER_AFTER + 1
    mailbox.answers.clear()  # it has the message, and has not said so
    killed = asyncio.create_task(escalate(mailing, ours, later))
    await asyncio.wait_for(mailbox.arrived.wait(), 10)
    killed.cancel()
    with suppress(asyncio.CancelledError):
        await killed
    assert await redis.hgetall(ESCALATED) == {}
    mailbox.answers.set()
    for _ in range(2):
        await escalate(mailing, ours, later)
    assert len(mailbox.messages) == 2


@pytest.mark.parametrize("fault", ["451 later", "554 never", ""])
async def test_a_mail_server_that_fails_stops_no_webhook(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis, fault: str
) -> None:
    posted: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response(status=202)

    application = web.Application()
    application.router.add_post("/alert", take)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    hook = {"alert_webhook": SecretStr(f"http://127.0.0.1:{port}/alert")}
    nowhere = {} if fault else {"smtp_url": SecretStr(f"smtp://127.0.0.1:{free_port()}")}
    mailbox.reply = fault
    later = time.time() + DANGER_AFTER + 1
    try:
        await raise_alert(redis, NOT_RECORDED, "kk", about="not_recorded:1.1")
        await raise_alert(redis, HELP_REQUESTED, about="help_requested:204")
        await raise_alert(redis, TRUNK_UNREGISTERED, about="trunk_unregistered:kcell")
        await escalate(mailing.model_copy(update=hook | nowhere), ours, later)
    finally:
        await runner.cleanup()
    [content] = posted
    assert content["url"] == "https://111.example.kz/live/alarms"
    alerts = {each["kind"]: each for each in content["alerts"]}
    alert = alerts["not_recorded"]
    assert (alert["severity"], alert["count"]) == ("critical", 1)
    subjects = {kind: each["subjects"] for kind, each in alerts.items() if each["subjects"]}
    assert subjects == {"trunk_unregistered": ["kcell"]}  # and no extension of a consultant
    assert mailbox.messages == []
    mailbox.reply = "250 OK"  # what failed is tried again, and what arrived is not
    await escalate(mailing, ours, later)
    assert len(mailbox.messages) == 1


async def test_a_warning_waits_longer_than_a_danger(
    mailing: Settings, mailbox: SmtpMailbox, redis: Redis, ours: Redis
) -> None:
    await raise_alert(redis, NOBODY_SIGNED_IN, "kk")
    for later, sent in ((DANGER_AFTER, 0), (ESCALATE_AFTER[NOBODY_SIGNED_IN.severity], 1)):
        await escalate(mailing, ours, time.time() + later + 1)
        assert len(mailbox.messages) == sent


async def test_nothing_is_sent_where_nothing_is_set(
    settings: Settings, redis: Redis, ours: Redis
) -> None:
    await raise_alert(redis, DANGER_WAITS, about=f"urgent:{APPEAL}")
    await escalate(settings, ours, time.time() + DANGER_AFTER + 1)
    assert await redis.hgetall(ESCALATED) == {}


async def test_two_workers_retry_and_send_one_message(
    mailing: Settings,
    mailbox: SmtpMailbox,
    redis: Redis,
    ours: Redis,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(escalation, "INTERVAL", 0.05)
    alert = {"kind": NOT_RECORDED.key, "language": "kk", "at": time.time() - 2 * DANGER_AFTER}
    await redis.hset(OPEN, "not_recorded:1.1", json.dumps(alert))
    mailbox.reply = "451 later"
    workers = [
        asyncio.create_task(escalation.run(WorkerResources(mailing, engine), ours))
        for _ in range(2)
    ]
    try:
        await asyncio.wait_for(mailbox.arrived.wait(), 10)
        mailbox.reply = "250 OK"

        async def noted() -> bool:
            return "mail" in await redis.hkeys(ESCALATED)

        await until(noted, "the message is noted as sent")
    finally:
        for worker in workers:
            worker.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended)
    assert len(mailbox.messages) == 1
