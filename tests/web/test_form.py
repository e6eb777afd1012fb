"""The center edits its form and the terms of the law; what was answered stays."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.form import service, store
from callcenter.appeals.rules.fields import Option, Section
from callcenter.appeals.web.form_pages import format_options, read_options
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token
from tests.web.conftest import Call

QUESTION = {
    "section": "appeal",
    "code": "school",
    "type": "choice",
    "guard": "personal",
    "kk": "Мектеп",
    "ru": "Школа",
    "en": "School",
    "position": "55",
    "options": "one | Бірінші | Первая | First\ntwo | Екінші | Вторая | Second | one",
}

names = st.text("abcқғ 12", min_size=1).map(str.strip).filter(bool)
options = st.lists(
    st.builds(Option, st.sampled_from(["a", "b2", "c_c"]), names, names, names,
              st.sampled_from(["", "a"]), st.booleans()),
    max_size=4,
)  # fmt: skip


@given(options)
def test_answers_are_read_as_they_are_written(given_options: list[Option]) -> None:
    assert list(read_options(format_options(tuple(given_options)))) == given_options


async def send(client: httpx.AsyncClient, path: str, page: str, **values: Any) -> int:
    token = await form_token(client, page)
    return (await client.post(path, data={"form_token": token, **values})).status_code


async def test_a_field_is_added_used_renamed_and_deactivated(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert await send(head, "/form", "/form", **QUESTION) == 303
    record = f"/appeals/{call.number}"
    head.cookies.set("callcenter_language", "ru")
    assert "Вторая" in (await head.get(record)).text
    one = "/form/appeal/school"
    renamed = QUESTION | {"ru": "Какая школа", "active": "true"}
    assert await send(head, one, one, **renamed) == 303
    assert "Какая школа" in (await head.get(record)).text
    assert await send(head, one, one, **QUESTION) == 303  # not ticked: not in use
    assert "Какая школа" not in (await head.get(record)).text


async def test_the_form_is_read_anew_after_changes_and_rollbacks(engine: AsyncEngine) -> None:
    before = await service.read_form(engine)
    assert await service.read_form(engine) is before
    content = service.find_field(before, Section.APPEAL, "content")
    async with engine.connect() as connection:
        await store.put_field(connection, replace(content, ru="Суть"), "user:head")
        inside = await store.read_form(connection)
        assert service.find_field(inside, Section.APPEAL, "content").ru == "Суть"
        await connection.rollback()
    after = await service.read_form(engine)
    assert service.find_field(after, Section.APPEAL, "content") == content


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "content"},
        {"code": "Bad"},
        {"kk": " "},
        {"options": ""},
        {"options": "one | only"},
        {"options": "one | а | б | c | three"},
    ],
)
async def test_what_cannot_be_a_question_is_refused(
    head: httpx.AsyncClient, engine: AsyncEngine, wrong: dict[str, str]
) -> None:
    assert await send(head, "/form", "/form", **QUESTION | wrong) == 400
    async with unit_of_work(engine) as connection:
        stored = await connection.execute(text("SELECT 1 FROM record_field WHERE code = 'school'"))
        assert stored.all() == []


async def test_built_in_fields_and_given_answers_stay(
    head: httpx.AsyncClient,
) -> None:
    help_given = "/form/appeal/help"
    page = {"kk": "Көмек", "ru": "Помощь", "en": "Help", "position": "40", "guard": "open"}
    fewer = page | {"options": "information | А | Б | C", "active": "true"}
    assert await send(head, help_given, help_given, **fewer) == 400
    content = "/form/appeal/content"
    unused = page | {"guard": "personal"}
    assert await send(head, content, content, **unused) == 400
    assert (await head.get("/form/appeal/nothing")).status_code == 404


async def test_a_term_holds_from_its_day(head: httpx.AsyncClient, engine: AsyncEngine) -> None:
    term = {
        "clock": "decide",
        "length": "20",
        "unit": "working_days",
        "article": "350-VI, 76(1)",
        "valid_from": "2027-01-01",
    }
    assert await send(head, "/terms", "/terms", **term) == 303
    assert await send(head, "/terms", "/terms", **term) == 400
    assert (await head.get("/terms")).text.count("01.01.2027") == 1
