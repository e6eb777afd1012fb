"""The page of callbacks, and their figures, for supervisors."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callbacks import store
from callcenter.wallboard.store import read_today
from tests.web.browser import form_token, visible
from tests.web.callback_factories import owe
from tests.web.conftest import Call

GOAL = timedelta(seconds=20)

CLOSE = re.compile(r'action="(/promises/[0-9a-f-]{36}/close)"')


async def shown(client: httpx.AsyncClient) -> str:
    client.headers["accept-language"] = "en"
    return visible((await client.get("/promises")).text)


async def test_a_callback_is_listed_masked_and_closed_once(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert "No callback and no voicemail is open." in await shown(head)
    promise_id = await owe(engine, call, language="ru", urgent=True)
    text = await shown(head)
    assert f"{call.number} callback +7 701 *** ** 99 Russian" in text
    assert "0000099" not in text
    assert "urgent" in text
    assert "overdue" not in text
    (reported,) = (await head.get("/api/v1/promises")).json()
    assert (reported["appeal"], reported["number"]) == (call.number, "+7 701 *** ** 99")
    assert reported["kind"] == "callback"
    found = CLOSE.search((await head.get("/promises")).text)
    assert found is not None
    token = await form_token(head, "/promises")
    answer = await head.post(found[1], data={"form_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/promises")
    assert "closed by a supervisor" in await shown(head)
    twice = await head.post(found[1], data={"form_token": token})
    assert twice.status_code == 404
    assert "decided on it meanwhile" in visible(twice.text)
    async with unit_of_work(engine) as connection:
        entry = (
            await connection.execute(
                select(audit_entry.c.subject).where(audit_entry.c.action == "web:promise:closed")
            )
        ).scalar_one()
    assert entry == f"promise:{promise_id}"


async def test_a_promise_is_closed_once_by_the_api(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    path = f"/api/v1/promises/{await owe(engine, call, language='ru', urgent=True)}/close"
    token = await form_token(head, "/promises")
    assert (await head.post(path, data={"form_token": token})).status_code == 204
    assert (await head.get("/api/v1/promises")).json() == []
    assert (await head.post(path, data={"form_token": token})).status_code == 404


async def test_a_waiting_message_is_listed_with_a_masked_number(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    recording_id = uuid4()
    async with unit_of_work(engine) as connection:
        await store.promise_message(
            connection,
            recording_id=recording_id,
            appeal_id=call.id,
            language="kk",
            urgent=False,
            arrived_at=datetime.now(UTC),
            promised_at=datetime.now(UTC),
        )
    (reported,) = (await head.get("/api/v1/promises")).json()
    assert (reported["id"], reported["kind"]) == (str(recording_id), "message")
    text = await shown(head)
    assert f"{call.number} message {reported['number']} Kazakh" in text
    assert "***" in reported["number"]


@pytest.mark.parametrize(("minutes", "overdue"), [(29, 0), (31, 1)])
async def test_callbacks_due_for_half_an_hour_are_overdue_everywhere(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, minutes: int, overdue: int
) -> None:
    await owe(engine, call, since=timedelta(minutes=minutes), language="ru", urgent=True)
    assert ("overdue" in await shown(head)) is bool(overdue)
    async with unit_of_work(engine) as connection:
        today = await read_today(connection, datetime.now(UTC), GOAL)
    assert (today.callbacks, today.callbacks_overdue) == (1, overdue)
