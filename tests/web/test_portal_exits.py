"""Who leaves the portal quickly is noted: the consultant sees that writing may not be safe."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.intake.drivers.portal.collector import collect
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerResources
from tests.intake.messages import TEXT, rows
from tests.portal.conftest import RECEIPT, Visitor, found, sealed_to_intake, visitor_of, worker
from tests.services import changed, opened_as
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.test_records import send

__all__ = ["sealed_to_intake", "worker"]

PING = re.compile(r' ping="([^"]+)"')
NOTICE = "The writer left quickly: writing may not be safe."
NOTED = "SELECT left_at IS NOT NULL FROM portal_message ORDER BY received_at"


async def leave(writer: Visitor, page: httpx.Response) -> httpx.Response:
    """Press "Leave quickly" on a page, of which the browser sends a ping."""
    [path] = PING.findall(page.text)
    return await writer.client.post(path, content="PING", headers={"Content-Type": "text/ping"})


@pytest.fixture
async def writer(
    database: str, settings: Settings, sealed_to_intake: None
) -> AsyncIterator[Visitor]:
    async with opened_as(DatabaseRole.PORTAL, settings) as engine:
        writer = visitor_of(settings, engine)
        async with writer.client:
            yield writer


@pytest.mark.parametrize("place", ["receipt", "form", "own words"])
async def test_the_consultant_sees_that_the_writer_left_quickly(
    writer: Visitor, worker: WorkerResources, enter: Enter, place: str
) -> None:
    token = await writer.token()
    sent = await writer.send(TEXT, token)
    number, words = found(RECEIPT, sent)
    other, _ = await writer.write("Другое")
    page = {
        "receipt": sent,
        "form": await writer.send("И ещё", token, show="yes"),
        "own words": await writer.open(number, words),
    }[place]
    if place == "receipt":  # before intake has it: whoever is fast
        await leave(writer, page)
    await collect(worker)
    if place != "receipt":
        await leave(writer, page)
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        assert NOTICE in visible((await client.get(f"/appeals/{number}")).text)
        assert NOTICE not in visible((await client.get(f"/appeals/{other}")).text)


async def test_the_notice_goes_on_in_the_appeal_that_goes_on(
    writer: Visitor, worker: WorkerResources, enter: Enter
) -> None:
    sent = await writer.send(TEXT)
    number, _ = found(RECEIPT, sent)
    other, _ = await writer.write("Другое")
    await leave(writer, sent)
    await collect(worker)
    async with enter(Role.HEAD) as head:
        head.headers["accept-language"] = "en"
        await send(head, number, version=1, **{"f.content": "-"})
        part = await send(head, number, "split", version=2, key="content")
        of_part = part.headers["location"].split("/")[2]
        assert NOTICE not in visible((await head.get(f"/appeals/{other}")).text)
        await send(head, number, "join", version=3, into=other, reason="Одно и то же")
        for each in (other, of_part):
            assert NOTICE in visible((await head.get(f"/appeals/{each}")).text)


async def test_of_what_was_not_sent_nothing_is_noted(writer: Visitor, engine: AsyncEngine) -> None:
    await writer.write(TEXT)
    for path in ("/ru", "/ru/s", "/ru/r", "/nothing"):
        assert (await leave(writer, await writer.client.get(path))).status_code == 204
    assert (await writer.client.post(f"/x/{uuid4()}")).status_code == 204
    assert (await writer.client.post("/x/1")).status_code == 404
    assert await rows(engine, NOTED) == [(False,)]
    assert await rows(engine, "SELECT count(*) FROM portal_message") == [(1,)]


async def test_the_last_of_several_exits_is_noted(writer: Visitor, engine: AsyncEngine) -> None:
    """Once a minute: nobody fills the table with them."""
    sent = await writer.send(TEXT)
    await leave(writer, sent)
    first = await rows(engine, "SELECT left_at FROM portal_message")
    await leave(writer, sent)
    assert await rows(engine, "SELECT left_at FROM portal_message") == first
    await rows(engine, "UPDATE portal_message SET left_at = left_at - interval '61 s' RETURNING 1")
    await leave(writer, sent)
    assert await rows(engine, "SELECT left_at FROM portal_message") > first


async def test_leaving_needs_no_database(settings: Settings, sealed_to_intake: None) -> None:
    nowhere = changed(settings, database_url="postgresql://nobody@127.0.0.1:1/nowhere")
    engine = open_database(nowhere)
    writer = visitor_of(nowhere, engine)
    async with writer.client:
        answer = await leave(writer, await writer.client.get("/ru"))
    assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache"')
    await engine.dispose()
