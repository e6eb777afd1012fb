"""Consultants say why they ended a conversation; supervisors see where that is missing."""

from datetime import UTC, datetime

import httpx
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import wording
from callcenter.appeals.hang_ups import Reason
from callcenter.appeals.tables import appeal, appeal_event
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_duty import link


async def hang_up(engine: AsyncEngine, call: Call) -> None:
    """The consultant ended the conversation, a moment ago."""
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(appeal_event)
            .where(appeal_event.c.appeal_id == call.id, appeal_event.c.kind == "ended")
            .values(detail={"outcome": "talked", "hung_up": "consultant"})
        )
        await connection.execute(
            update(appeal).where(appeal.c.id == call.id).values(received_at=datetime.now(UTC))
        )


async def give(client: httpx.AsyncClient, call: Call, reason: str) -> int:
    token = await form_token(client, "/appeals")
    answer = await client.post(
        f"/api/v1/appeals/{call.number}/hang-up-reason",
        data={"reason": reason, "form_token": token},
    )
    return answer.status_code


async def test_a_hang_up_waits_for_its_reason_which_is_given_once_by_who_hung_up(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert (await head.get("/api/v1/hang-ups")).json() == []
    await hang_up(engine, call)
    (waiting,) = (await head.get("/api/v1/hang-ups")).json()
    assert (waiting["appeal"], waiting["extension"]) == (call.number, "2001")
    head.headers["accept-language"] = "en"
    assert f"{call.number} 2001" in visible((await head.get("/hang-ups")).text)
    async with enter(Role.SENIOR) as somebody_else:
        assert await give(somebody_else, call, "over") == 400
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "Give the reason" in page
        assert await give(client, call, "because") in (400, 422)
        assert await give(client, call, "insults") == 204
        assert await give(client, call, "over") == 400
        page = visible((await client.get(f"/appeals/{call.number}")).text)
        assert "Give the reason" not in page
        assert "insults, consultant 2001" in page
    assert (await head.get("/api/v1/hang-ups")).json() == []
    assert "Every reason is given." in visible((await head.get("/hang-ups")).text)


def test_every_reason_has_words() -> None:
    assert list(wording.HANG_UPS) == [reason.value for reason in Reason]
