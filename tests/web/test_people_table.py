"""Many people are added by a table, all or nobody, after a look at what would be."""

import csv
import re
from contextlib import suppress
from io import StringIO

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import store
from callcenter.users.people_table import (
    COLUMNS,
    LONGEST_TABLE,
    PersonLine,
    TableFault,
    UnreadableTable,
    read_table,
)
from tests.web.browser import visible
from tests.web.conftest import Enter, browse
from tests.web.invited import choose
from tests.web.test_users import actions, send

HEAD = ";".join(COLUMNS)
AIGUL = "aigul;consultant;Оспанова А.;кеңесші;214;kk,ru;lawyer:3;A;browser"
ARMAN = "arman;senior;Сейтов А.;заңгер;215;ru;;;softphone"
TABLE = f"{HEAD}\r\n{AIGUL}\r\n{ARMAN}\r\n"
LINKS = re.compile(r"http://127\.0\.0\.1:[0-9]+(/invitations/[\w-]{43})")


async def names(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        return [each.name for each in await store.everyone(connection)]


async def test_a_table_adds_all_after_a_look(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        before, written = await names(engine), await actions(engine)
        looked = await send(admin, "/people-table/preview", table=TABLE)
        assert looked.status_code == 200
        assert 'formaction="/people-table"' in looked.text
        assert (await names(engine), await actions(engine)) == (before, written)
        added = await send(admin, "/people-table", table=TABLE)
        links = LINKS.findall(added.text)
        assert len(links) == 2
        assert set(await names(engine)) - set(before) == {"aigul", "arman"}
        again = await send(admin, "/people-table", table=TABLE)
        assert again.status_code == 400
    async with unit_of_work(engine) as connection:
        aigul = await consultants.find(connection, "214")
        arman = await consultants.find(connection, "215")
    assert (aigul.name, aigul.team, aigul.in_browser) == ("Оспанова А.", "A", True)
    assert (aigul.languages, aigul.skills) == (("kk", "ru"), {"lawyer": 3})
    assert not arman.in_browser
    async with browse(app) as client:
        assert (await choose(client, links[0])).status_code == 303


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x;consultant;A;b;;;;;", "name is taken"),
        ("aigul;consultant;A;b;;;;;", "name is taken"),  # twice in the table
        ("dana;boss;A;b;;;;;", "no role"),
        ("dana;state_body;A;b;;;;;", "may do nothing yet"),
        ("dana;consultant;;b;;;;;", "1 to 100 characters"),
        ("dana;consultant;A;b;214;ru;;;", "3 to 6 digits"),  # of the line before
        ("dana;consultant;A;b;102;ru;;;", "3 to 6 digits"),
        ("dana;consultant;A;b;216;;;;", "at least one language"),
        ("dana;consultant;A;b;216;de;;;", "languages cannot be read"),
        ("dana;consultant;A;b;216;ru;lawyer:9;;", "levels from 1 to 5"),
        ("dana;consultant;A;b;216;ru;pilot:1;;", "what was typed is wrong"),
        ("dana;consultant;A;b;216;ru;;;mobile", "telephone cannot be read"),
    ],
)
async def test_one_wrong_line_adds_nobody(
    engine: AsyncEngine, enter: Enter, line: str, why: str
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        admin.headers["accept-language"] = "en"
        before = await names(engine)
        for path in ("/people-table/preview", "/people-table"):
            refused = await send(admin, path, table=f"{HEAD}\n{AIGUL}\n{line}\n")
            assert refused.status_code == 400
            assert re.search(f"Line 3.*{re.escape(why)}", visible(refused.text))
            assert "Line 2" not in visible(refused.text)
            assert "Оспанова" in refused.text  # what was typed stays
        assert await names(engine) == before


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", TableFault.COLUMNS),
        ("name;role", TableFault.COLUMNS),
        (f"{HEAD};{HEAD}\n{AIGUL}", TableFault.COLUMNS),
        (f"{HEAD};salary\n{AIGUL};1", TableFault.COLUMNS),
        (HEAD, TableFault.EMPTY),
        (f"{HEAD}\n;;;;\n\n", TableFault.EMPTY),
        (f'{HEAD}\n"aigul', TableFault.QUOTES),
        (f"{HEAD}\n" + f"{AIGUL}\n" * (LONGEST_TABLE + 1), TableFault.LONG),
    ],
)
async def test_a_table_that_cannot_be_read_is_refused(
    enter: Enter, table: str, fault: TableFault
) -> None:
    with pytest.raises(UnreadableTable) as refused:
        read_table(table)
    assert refused.value.fault is fault
    async with enter(Role.ADMINISTRATOR) as admin:
        for path in ("/people-table/preview", "/people-table"):
            answer = await send(admin, path, table=table)
            assert answer.status_code == 400
            assert 'role="alert"' in answer.text


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for table in (text, f"{HEAD}\n{text}"):
        with suppress(InvalidRequest):
            assert all(isinstance(each, PersonLine) for each in read_table(table))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.lists(cells, min_size=9, max_size=9), min_size=1), st.sampled_from("\t;,"))
def test_a_table_is_read_as_spreadsheets_write_it(rows: list[list[str]], separator: str) -> None:
    written = StringIO()
    csv.writer(written, delimiter=separator).writerows([COLUMNS, *rows])
    named = [row[0].strip().lower() for row in rows if any(each.strip() for each in row)]
    try:
        assert [each.name for each in read_table("\ufeff" + written.getvalue())] == named
    except UnreadableTable as unreadable:
        assert (unreadable.fault, named) == (TableFault.EMPTY, [])  # noqa: PT017
