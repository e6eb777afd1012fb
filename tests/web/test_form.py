"""The center edits its form and the terms of the law; what was answered stays."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.register.fields import Option
from callcenter.register.form_pages import read_options, written_options
from callcenter.storage.engine import unit_of_work
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
    assert list(read_options(written_options(tuple(given_options)))) == given_options


async def send(client: httpx.AsyncClient, path: str, page: str, **values: Any) -> int:
    token = await form_token(client, page)
    return (await client.post(path, data={"form_token": token, **values})).status_code


async def test_a_question_is_added_asked_renamed_and_put_out_of_use(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert await send(head, "/form", "/form", **QUESTION) == 303
    record = f"/appeals/{call.number}/record"
    head.cookies.set("callcenter_language", "ru")
    assert "Вторая" in (await head.get(record)).text
    one = "/form/appeal/school"
    renamed = QUESTION | {"ru": "Какая школа", "active": "true"}
    assert await send(head, one, one, **renamed) == 303
    assert "Какая школа" in (await head.get(record)).text
    assert await send(head, one, one, **QUESTION) == 303  # not ticked: not in use
    assert "Какая школа" not in (await head.get(record)).text


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
        kept = await connection.execute(text("SELECT 1 FROM record_field WHERE code = 'school'"))
        assert kept.all() == []


async def test_what_is_built_in_stays_and_so_do_answers_that_were_given(
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
