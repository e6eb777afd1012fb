"""Presets fill ordinary consultations in by one press; the center edits them."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_records import rows, send

ALIMONY = "00000000-0000-4000-8000-000000000001"
NEW = {"kk": "Мектеп", "ru": "Школа: справка", "en": "School", "kind": "consultation"}


async def put(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    token = await form_token(client, "/presets")
    return await client.post(path, data=NEW | values | {"form_token": token})


async def test_a_preset_fills_what_is_empty_and_is_closed(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    typed = {"version": "0", "f.content": "Про алименты на двоих", "f.region": "750000000"}
    filled = await send(head, call.number, "preset", preset_id=ALIMONY, **typed)
    assert filled.status_code == 200
    assert "Про алименты на двоих" in filled.text  # what was typed stays
    assert "Разъяснён порядок" in filled.text
    assert '<option value="consultation" selected>' in filled.text
    assert await rows(engine, "SELECT 1 FROM record") == []  # nothing is saved yet
    assert len(await rows(engine, "SELECT 1 FROM record_draft")) == 1
    answers = {
        "kind": "consultation",
        "f.topics": "family_alimony",
        "f.help": "information",
        "f.decision": "Разъяснён порядок",
        "f.decision_reason": "Вопрос решён при обращении",
    }
    closed = await send(head, call.number, **typed | answers | {"after": "closed"})
    assert closed.status_code == 303
    assert await rows(engine, "SELECT kind, stage FROM record") == [("consultation", "closed")]


async def test_the_center_edits_presets_and_retires_one(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "ru"
    assert (await put(head, "/presets", **{"f.topics": "education"})).status_code == 303
    panel = f"/appeals/{call.number}/panel"
    assert "Школа: справка" in (await head.get(panel)).text
    renamed = {"ru": "Алименты", "f.help": "information"}  # not ticked: it is not in use any more
    assert (await put(head, f"/presets/{ALIMONY}", **renamed)).status_code == 303
    assert "Алименты не используется" in visible((await head.get("/presets")).text)
    assert "Алименты" not in (await head.get(panel)).text.partition('class="ordinary"')[0]
    saved = await rows(engine, "SELECT count(*) FROM audit_entry WHERE action = 'web:preset:saved'")
    assert saved == [(2,)]
    async with enter(Role.CONSULTANT) as client:
        assert (await client.get("/presets")).status_code == 403


@pytest.mark.parametrize("wrong", [{"kk": " "}, {"f.topics": "no_such_topic"}])
async def test_a_wrong_preset_is_refused(
    head: httpx.AsyncClient, engine: AsyncEngine, wrong: dict[str, str]
) -> None:
    before = await rows(engine, "SELECT count(*) FROM record_preset")
    assert (await put(head, "/presets", **wrong)).status_code == 400
    assert await rows(engine, "SELECT count(*) FROM record_preset") == before


async def test_every_preset_brought_fits_the_form(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for (preset_id,) in await rows(engine, "SELECT id FROM record_preset"):
        assert (await head.get(f"/presets/{preset_id}")).status_code == 200
    topics = await rows(engine, "SELECT answers->'topics'->>0 FROM record_preset")
    [[options]] = await rows(
        engine,
        "SELECT options FROM record_field WHERE code = 'topics' ORDER BY version DESC LIMIT 1",
    )
    assert {topic for (topic,) in topics} <= {each["code"] for each in options}
