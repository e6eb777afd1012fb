"""One press closes what was no request, and keeps which it was and nothing personal."""

from datetime import UTC, datetime

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.tables import appeal_event
from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.labels import DISPOSITIONS
from callcenter.appeals.rules.states import Disposition
from callcenter.appeals.search import worklists
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.web.browser import form_token, visible
from tests.web.conftest import Call
from tests.web.test_psychological_help import post, psychologist, soon
from tests.web.test_records import DECIDED, rows, send
from tests.web.test_work_lists import alerts, listed

__all__ = ["psychologist"]  # a fixture

CONSULTATION = {"kind": "consultation", "f.content": "Спросила", "f.help": "information", **DECIDED}


@pytest.mark.parametrize("disposition", Disposition)
async def test_a_disposition_closes_and_keeps_which_it_was(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, disposition: Disposition
) -> None:
    head.headers["accept-language"] = "en"
    await send(head, call.number, version=0, **{"f.content": "Кричал, назвался Сейтов"})
    closed = await send(head, call.number, "no-request", version=1, disposition=disposition)
    assert closed.status_code == 303
    assert await rows(engine, "SELECT stage, disposition, content::text, sealed FROM record") == [
        ("no_request", disposition.value, "{}", None)
    ]
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert f"There was no request: {DISPOSITIONS[disposition]}" in page


@pytest.mark.parametrize("typed", [{}, {"disposition": "bored"}])
async def test_nothing_is_closed_without_a_disposition(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, typed: dict[str, str]
) -> None:
    assert (await send(head, call.number, "no-request", version=0, **typed)).status_code != 303
    assert await rows(engine, "SELECT 1 FROM record") == []


@pytest.mark.parametrize("disposition", [None, Disposition.ABUSIVE])
async def test_a_hang_up_is_explained_by_its_disposition_alone(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    disposition: Disposition | None,
) -> None:
    head.headers["accept-language"] = "en"
    goodbye = {"outcome": "talked", "hung_up": "consultant"}
    async with unit_of_work(engine) as connection:
        ended = update(appeal_event).where(appeal_event.c.kind == "ended")
        await connection.execute(ended.values(detail=goodbye))
    if disposition is None:  # an ordinary goodbye
        done = await send(head, call.number, version=0, after="closed", **CONSULTATION)
    else:
        done = await send(head, call.number, "no-request", version=0, disposition=disposition)
    assert done.status_code == 303
    page = (await head.get(f"/appeals/{call.number}")).text
    assert "the consultant hung up" in visible(page)
    assert 'name="disposition"' not in page  # nothing is asked any more
    for work in worklists.all_lists():
        assert call.number not in await listed(head, work.key), work.key
    await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
    assert await alerts(redis) == {}


async def test_a_stale_page_erases_nothing_that_a_colleague_saved(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **{"f.content": "Отец не платит"})
    stale = await send(head, call.number, "no-request", version=0, disposition="silent")
    assert stale.status_code == 409
    assert "Отец не платит" in stale.text
    [(stage, content)] = await rows(engine, "SELECT stage, content::text FROM record")
    assert (stage, "Отец не платит" in str(content)) == ("contact", True)
    unseen = await send(head, call.number, "no-request", disposition="silent")
    assert unseen.status_code == 400
    # Whoever has seen it may erase it.
    seen = await send(head, call.number, "no-request", version=1, disposition="silent")
    assert seen.status_code == 303


async def test_what_was_typed_before_the_erasure_comes_too_late(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    typed = {"f.content": "Кричал, назвался Сейтов"}
    await send(head, call.number, "no-request", version=0, disposition="prank")
    late = await send(head, call.number, "draft", version=0, **typed)
    assert late.status_code == 409
    assert await rows(engine, "SELECT 1 FROM record_draft") == []
    [(version,)] = await rows(engine, "SELECT version FROM record")
    again = await send(head, call.number, "draft", version=version, **typed)
    assert again.status_code == 200  # whoever opens it again types anew


async def test_what_was_no_request_takes_nothing_personal(
    psychologist: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(psychologist, call.number, "no-request", version=0, disposition="prank")
    [(version,)] = await rows(engine, "SELECT version FROM record")
    typed = {"version": version, "f.content": "Сейтов"}
    answers = [
        await send(psychologist, call.number, **typed),
        await send(psychologist, call.number, "remind", at=soon(), about="Позвонить Сейтову"),
        await post(psychologist, call, "psychological-notes", text="Сейтов боится"),
        await post(psychologist, call, "talks", at=soon()),
    ]
    token = await form_token(psychologist, f"/appeals/{call.number}")
    path, file = f"/appeals/{call.number}/attachments", {"file": ("Сейтов.txt", b"word")}
    answers.append(await psychologist.post(path, data={"form_token": token}, files=file))
    assert [each.status_code for each in answers] == [400] * 5
    assert all("first open it again" in each.text for each in answers)
    assert await rows(engine, "SELECT content::text, kind FROM record") == [("{}", "no_request")]
    for table in ("reminder", "attachment"):
        assert await rows(engine, f"TABLE record_{table}") == [], table
    for table in ("note", "talk"):
        assert await rows(engine, f"TABLE psychological_{table}") == [], table


async def test_without_a_request_there_is_no_form_until_reopened(
    head: httpx.AsyncClient, call: Call
) -> None:
    path = f"/appeals/{call.number}"
    writing = ('name="f.content"', "data-draft", "/record/remind", "/attachments", "oral-said")
    page = (await head.get(path)).text
    assert [each for each in writing if each not in page] == []
    await send(head, call.number, "no-request", version=0, disposition="prank")
    page = (await head.get(path)).text
    assert [each for each in writing if each in page] == []
    assert 'name="after" value="contact"' in page
    # What was typed meanwhile is shown, or it would be lost.
    late = await send(head, call.number, version=0, **{"f.content": "Звонила Сейтова"})
    assert (late.status_code, "Звонила Сейтова" in late.text) == (409, True)


async def test_a_reopened_appeal_has_no_disposition(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, "no-request", version=0, disposition="hung_up")
    [(version,)] = await rows(engine, "SELECT version FROM record")
    back = {"version": version, "after": "contact", "reason": "Звонила"}
    assert (await send(head, call.number, "move", **back)).status_code == 303
    assert await rows(engine, "SELECT stage, disposition FROM record") == [("contact", None)]
