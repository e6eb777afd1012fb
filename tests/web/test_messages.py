"""Messages of callers are played on the page of their appeal, and are tasks until done."""

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, visible
from tests.web.callback_factories import leave_message
from tests.web.conftest import Call, Enter
from tests.web.test_listening import work_in


@pytest.fixture
async def message(engine: AsyncEngine, call: Call) -> Call:
    """The recording of the call is a message, which nobody has heard."""
    await leave_message(engine, call)
    return call


async def hear(client: httpx.AsyncClient, message: Call) -> httpx.Response:
    return await client.get(f"/api/v1/recordings/{message.recording}/audio?reason=work")


async def finish(client: httpx.AsyncClient, message: Call) -> httpx.Response:
    token = await form_token(client, f"/appeals/{message.number}")
    path = f"/appeals/{message.number}/messages/{message.recording}/done"
    return await client.post(path, data={"form_token": token})


async def test_a_message_is_a_task_until_heard_and_done(
    enter: Enter, engine: AsyncEngine, message: Call
) -> None:
    page = f"/appeals/{message.number}"
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await work_in(engine, Role.CONSULTANT, None)
        listed = await client.get("/work?list=messages")
        assert message.number in listed.text
        shown = (await client.get(page)).text
        assert (
            f'<audio controls preload="none" src="/api/v1/recordings/{message.recording}' in shown
        )
        unheard = await finish(client, message)
        assert unheard.status_code == 400
        assert "play it first" in visible(unheard.text)
        heard = await hear(client, message)
        assert (heard.status_code, heard.content) == (200, message.audio)
        assert (await finish(client, message)).status_code == 303
        after = (await client.get(page)).text
        assert "<audio" not in after
        assert "The message was heard, and is done consultant 2099" in visible(after)
        assert message.number not in (await client.get("/work?list=messages")).text
        assert (await finish(client, message)).status_code == 404
    async with unit_of_work(engine) as connection:
        query = text(
            "SELECT extension FROM appeal JOIN consultant ON consultant.id = consultant_id"
            " WHERE appeal.id = :id"
        )
        assert (await connection.execute(query, {"id": message.id})).scalar_one() == "2099"
        actions = await connection.execute(
            text("SELECT subject FROM audit_entry WHERE action = 'web:promise:message_done'")
        )
        assert actions.scalars().all() == [f"promise:{message.recording}"]


async def test_a_closed_message_is_heard_by_its_listener(enter: Enter, message: Call) -> None:
    async with enter(Role.CONSULTANT) as one, enter(Role.CONSULTANT) as another:
        assert (await hear(one, message)).status_code == 200
        assert (await hear(another, message)).status_code == 200
        assert (await finish(one, message)).status_code == 303
        assert (await hear(one, message)).status_code == 200
        assert (await hear(another, message)).status_code == 400


async def test_who_may_not_listen_sees_no_message(enter: Enter, message: Call) -> None:
    async with enter(Role.AUDITOR) as auditor:
        shown = await auditor.get(f"/appeals/{message.number}")
        assert (shown.status_code, "<audio" in shown.text) == (200, False)
        token = await form_token(auditor, f"/appeals/{message.number}")
        path = f"/appeals/{message.number}/messages/{message.recording}/done"
        assert (await auditor.post(path, data={"form_token": token})).status_code == 403
