"""Psychological help goes on: with the same psychologist, whose notes nobody else opens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.tables import psychological_talk
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.appeals import read_all_rows
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_listening import work_in
from tests.web.test_records import rows, send
from tests.web.test_work_lists import alerts, listed

SAID = "Боится возвращаться, был план уехать к сестре"


def soon(hours: int = 1) -> str:
    return f"{datetime.now(ZONE) + timedelta(hours=hours):%Y-%m-%dT%H:%M}"


@pytest.fixture
async def psychologist(enter: Enter, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a senior who is a consultant with that skill."""
    async with enter(Role.SENIOR) as client:
        await work_in(engine, Role.SENIOR, None)
        async with unit_of_work(engine) as connection:
            await connection.execute(
                text(
                    "INSERT INTO consultant_skill SELECT id, 'psychologist', 3 FROM consultant"
                    " WHERE extension = '2099'"
                )
            )
        client.headers["accept-language"] = "en"
        yield client


async def post(client: httpx.AsyncClient, call: Call, path: str, **data: str) -> httpx.Response:
    token = await form_token(client, f"/appeals/{call.number}")
    return await client.post(f"/appeals/{call.number}/{path}", data=data | {"form_token": token})


async def audited(engine: AsyncEngine) -> list[str]:
    found = await rows(
        engine, "SELECT action FROM audit_entry WHERE action LIKE 'web:psychology:%' ORDER BY id"
    )
    return [action for (action,) in found]


async def test_notes_are_opened_by_psychologists_alone(
    psychologist: httpx.AsyncClient, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    notes = f"/appeals/{call.number}/psychological-notes"
    head.headers["accept-language"] = "en"
    assert (await post(psychologist, call, "psychological-notes", text=SAID)).status_code == 303
    assert (await post(head, call, "psychological-notes", text="-")).status_code == 400
    assert (await head.get(notes)).status_code == 400
    shown = await head.get(f"/appeals/{call.number}")
    assert SAID not in shown.text
    assert "Notes of psychologists: 1 · Only psychologists open them." in visible(shown.text)
    closed = await psychologist.get(f"/appeals/{call.number}")
    assert SAID not in closed.text  # to see the appeal opens no note
    assert SAID in (await psychologist.get(notes)).text
    noted, *refused, opened = await audited(engine)
    assert (noted, opened) == ("web:psychology:noted", "web:psychology:opened")
    assert refused == ["web:psychology:refused"] * 2
    assert "сестре" not in await read_all_rows(engine)


async def test_the_next_talk_is_with_the_same_psychologist(
    psychologist: httpx.AsyncClient, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    nobody = await post(head, call, "talks", at=soon())
    assert (nobody.status_code, "a psychologist begins" in nobody.text) == (400, True)
    await post(psychologist, call, "psychological-notes", text=SAID)
    assert (await post(head, call, "talks", at=soon(-2))).status_code == 400
    assert (await post(head, call, "talks", at=soon())).status_code == 303
    [(talk, user)] = await rows(engine, "SELECT id, user_name FROM psychological_talk")
    assert user.startswith("senior-")
    assert f"Talk with {user}" in visible((await head.get(f"/appeals/{call.number}")).text)
    assert call.number in (await psychologist.get("/work?list=talks")).text
    assert call.number not in (await head.get("/work?list=talks")).text
    assert (await post(psychologist, call, f"talks/{talk}/done")).status_code == 303
    assert (await post(psychologist, call, f"talks/{talk}/done")).status_code == 404
    assert call.number not in (await psychologist.get("/work?list=talks")).text
    assert (await audited(engine))[-2:] == [
        "web:psychology:talk_booked",
        "web:psychology:talk_done",
    ]


async def test_what_was_no_request_has_no_psychological_notes(
    psychologist: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await post(psychologist, call, "psychological-notes", text=SAID)
    await post(psychologist, call, "talks", at=soon())
    await send(psychologist, call.number, "no-request", version=0, disposition="test")
    assert await rows(engine, "SELECT sealed FROM psychological_note") == [(None,)]
    assert await rows(engine, "SELECT 1 FROM psychological_talk") == []


async def test_a_missed_talk_alerts_its_psychologist_then_supervisors(
    psychologist: httpx.AsyncClient,
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
) -> None:
    async def raised() -> dict[str, int]:
        await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
        return await alerts(redis)

    async def overdue_by(minutes: int) -> None:
        async with unit_of_work(engine) as connection:
            late = datetime.now(UTC) - timedelta(minutes=minutes)
            await connection.execute(update(psychological_talk).values(due_at=late))

    await post(psychologist, call, "talks", at=soon())
    await overdue_by(5)
    assert await listed(psychologist, "talks") == [call.number]
    assert await listed(head, "missed_talks") == []
    assert await raised() == {}
    await overdue_by(20)
    assert await listed(head, "missed_talks") == [call.number]
    for _ in range(2):  # once for each talk
        assert await raised() == {"talk_missed": 1}
    [(talk,)] = await rows(engine, "SELECT id FROM psychological_talk")
    await post(psychologist, call, f"talks/{talk}/done")
    assert await listed(head, "missed_talks") == []


async def test_help_goes_on_in_the_appeal_that_goes_on(
    psychologist: httpx.AsyncClient, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    _, other = await open_call(engine, "call-2", datetime.now(UTC))
    await send(head, call.number, version=0, **{"f.content": "-", "f.safety_plan": "К сестре"})
    await send(head, other, version=0, **{"f.content": "-"})
    await post(psychologist, call, "psychological-notes", text=SAID)
    await post(psychologist, call, "talks", at=soon())
    joined = await send(head, call.number, "join", version=1, into=other, reason="Одно и то же")
    assert joined.status_code == 303
    assert SAID in (await psychologist.get(f"/appeals/{other}/psychological-notes")).text
    page = visible((await head.get(f"/appeals/{other}")).text)
    assert "Notes of psychologists: 1" in page
    assert "Talk with senior-" in page
    assert "There is a safety plan on a connected appeal" in page
    assert "К сестре" in page
    assert await listed(psychologist, "talks") == [other]
    seen = "SELECT subject FROM audit_entry WHERE detail->>'by' = 'safety_plan'"
    assert await rows(engine, seen) == [(f"appeal:{call.number}",)]


async def test_a_part_shows_the_help_of_the_whole(
    psychologist: httpx.AsyncClient, head: httpx.AsyncClient, call: Call, engine: AsyncEngine
) -> None:
    head.headers["accept-language"] = "en"
    await send(head, call.number, version=0, **{"f.content": "-", "f.safety_plan": "К сестре"})
    await post(psychologist, call, "psychological-notes", text=SAID)
    await post(psychologist, call, "talks", at=soon())
    part = await send(head, call.number, "split", version=1, key="content")
    number = part.headers["location"].split("/")[2]
    assert SAID in (await psychologist.get(f"/appeals/{number}/psychological-notes")).text
    page = visible((await head.get(f"/appeals/{number}")).text)
    assert "Talk with senior-" in page
    assert "К сестре" in page
    [(talk,)] = await rows(engine, "SELECT id FROM psychological_talk")
    done = await psychologist.post(
        f"/appeals/{number}/talks/{talk}/done",
        data={"form_token": await form_token(psychologist, f"/appeals/{number}")},
    )
    assert done.status_code == 303
    # The part of another appeal, whose notes go on beside it.
    await send(head, call.number, "join", version=2, into=number, reason="Одно и то же")
    assert "Notes of psychologists: 1" in visible((await head.get(f"/appeals/{number}")).text)
