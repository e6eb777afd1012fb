"""Two people erase a recording by the pages."""

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.retention.service import HOLD_ORDER_LIMIT
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter

LONG = "x" * (HOLD_ORDER_LIMIT + 1)


async def sent(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    token = await form_token(client, "/erasures")
    return await client.post(
        path, data={"form_token": token} | values, headers={"accept-language": "en"}
    )


async def decision_path(engine: AsyncEngine) -> str:
    async with unit_of_work(engine) as connection:
        requested = (
            await connection.execute(text("SELECT id FROM recording_erasure"))
        ).scalar_one()
    return f"/erasures/{requested}/decision"


@pytest.mark.parametrize("approve", [True, False])
async def test_one_asks_and_another_decides(
    enter: Enter, engine: AsyncEngine, call: Call, approve: bool
) -> None:
    decision = {"approve": str(approve).lower(), "reason": "as ordered"}
    async with enter(Role.RECORDS_OFFICER) as officer, enter(Role.HEAD) as head:
        player = await officer.get(f"/recordings/{call.recording}")
        asking = f"/recordings/{call.recording}/erasure"
        assert f'action="{asking}"' in player.text
        requested = await sent(officer, asking, reason="an order", order="7 of 1.11.2026")
        assert requested.headers["location"] == "/erasures"
        path = await decision_path(engine)
        own = await officer.get("/erasures", headers={"accept-language": "en"})
        assert "an order (7 of 1.11.2026)" in visible(own.text)
        assert path not in own.text
        assert (await sent(officer, path, **decision)).status_code == 400
        again = await sent(officer, asking, reason="once again")
        assert again.status_code == 400
        assert 'value="once again"' in again.text
        assert path in (await head.get("/erasures")).text
        assert (await sent(head, path, **decision | {"reason": " "})).status_code == 400
        assert (await sent(head, path, **decision)).headers["location"] == "/erasures"
        late = await sent(head, path, **decision)
        assert "decided on it meanwhile" in visible(late.text)
        assert path not in late.text
        heard = await head.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    assert heard.status_code == (404 if approve else 200)


async def test_an_order_holds_a_recording_until_ended_with_reason(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    at, order = f"/recordings/{call.recording}", "court of Almaty, 17 of 1.11.2026"
    decision = {"approve": "true", "reason": "its time is over"}
    async with enter(Role.RECORDS_OFFICER) as officer, enter(Role.HEAD) as head:
        refused = await sent(officer, f"{at}/hold", order=LONG)
        assert refused.status_code == 400
        assert "is not held: say whose order" in visible(refused.text)
        assert f'value="{LONG}"' in refused.text
        assert (await sent(officer, f"{at}/hold", order=order)).headers["location"] == at
        page = await officer.get(at, headers={"accept-language": "en"})
        assert f"Held by order: {order}" in visible(page.text)
        await sent(officer, f"{at}/erasure", reason="its time is over")
        path = await decision_path(engine)
        assert "is held" in visible((await sent(head, path, **decision)).text)
        ended = {"order": order, "reason": "the case is closed"}
        late = await sent(officer, f"{at}/hold/end", **ended | {"order": "ended by another"})
        assert late.status_code == 400
        assert "decided on it meanwhile" in visible(late.text)
        assert f"Held by order: {order}" in visible(late.text)
        refused = await sent(officer, f"{at}/hold/end", **ended | {"reason": LONG})
        assert refused.status_code == 400
        assert "still held: enter a reason" in visible(refused.text)
        assert f'value="{LONG}"' in refused.text
        assert (await sent(officer, f"{at}/hold/end", **ended)).headers["location"] == at
        assert (await sent(head, path, **decision)).headers["location"] == "/erasures"
        late = await sent(officer, f"{at}/hold", order=order)
        assert late.status_code == 400
        assert "the recording is not there any more" in visible(late.text)
    async with unit_of_work(engine) as connection:
        reported = await connection.execute(
            text("SELECT action FROM audit_entry WHERE action ~ 'recording:(held|let_go)'")
        )
        assert list(reported.scalars()) == ["web:recording:held", "web:recording:let_go"]


async def test_what_is_held_is_not_erased(enter: Enter, engine: AsyncEngine, call: Call) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text("INSERT INTO recording_hold VALUES (:id, 'demand:26-0001', now(), NULL)"),
            {"id": call.recording},
        )
    async with enter(Role.RECORDS_OFFICER) as officer, enter(Role.HEAD) as head:
        await sent(officer, f"/recordings/{call.recording}/erasure", reason="an order")
        path = await decision_path(engine)
        refused = await sent(head, path, approve="true", reason="as ordered")
    assert refused.status_code == 400
    assert "is held" in visible(refused.text)
