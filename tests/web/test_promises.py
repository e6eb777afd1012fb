"""The page of callbacks, and their figures, for supervisors."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.live.store import read_today
from callcenter.promises import store
from callcenter.storage.engine import unit_of_work
from tests.web.browser import form_token, visible
from tests.web.conftest import Call
from tests.web.promised import owe

CLOSE = re.compile(r'action="(/promises/[0-9a-f-]{36}/close)"')


async def shown(client: httpx.AsyncClient) -> str:
    client.headers["accept-language"] = "en"
    return visible((await client.get("/promises")).text)


async def test_who_waits_for_a_call_is_shown_masked_and_may_be_closed_once(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert "Nothing is owed to anybody." in await shown(head)
    promise_id = await owe(engine, call, language="ru", urgent=True)
    text = await shown(head)
    assert f"{call.number} callback +7 701 *** ** 99 Russian" in text
    assert "0000099" not in text
    assert "urgent" in text
    assert "overdue" not in text
    (told,) = (await head.get("/api/v1/promises")).json()
    assert (told["appeal"], told["number"]) == (call.number, "+7 701 *** ** 99")
    assert told["kind"] == "callback"
    found = CLOSE.search((await head.get("/promises")).text)
    assert found is not None
    token = await form_token(head, "/promises")
    answer = await head.post(found[1], data={"form_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/promises")
    assert "closed by a supervisor" in await shown(head)
    assert (await head.post(found[1], data={"form_token": token})).status_code == 404
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


async def test_a_message_that_is_to_be_heard_is_shown_with_the_callers_number_masked(
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
    (told,) = (await head.get("/api/v1/promises")).json()
    assert (told["id"], told["kind"]) == (str(recording_id), "message")
    text = await shown(head)
    assert f"{call.number} message {told['number']} Kazakh" in text
    assert "***" in told["number"]


@pytest.mark.parametrize(("minutes", "overdue"), [(29, 0), (31, 1)])
async def test_what_is_due_for_half_an_hour_is_overdue_on_the_page_and_in_the_figures(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, minutes: int, overdue: int
) -> None:
    await owe(engine, call, since=timedelta(minutes=minutes), language="ru", urgent=True)
    assert ("overdue" in await shown(head)) is bool(overdue)
    async with unit_of_work(engine) as connection:
        today = await read_today(connection, datetime.now(UTC))
    assert (today.callbacks, today.callbacks_overdue) == (1, overdue)
