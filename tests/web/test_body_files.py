"""The directory of state bodies as a file: taken, changed, looked at, and brought back."""

import csv
import io
import re
from html import unescape
from typing import Any

import httpx
import pytest
import python_calamine
import xlsxwriter
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bodies.directory_files import read, write_csv
from tests.web.browser import form_token, visible
from tests.web.test_bodies import find, send
from tests.web.test_users import actions

Rows = list[list[str]]


async def export(client: httpx.AsyncClient, form: str) -> bytes:
    answer = await send(client, "/bodies-file/export", format=form)
    assert f'.{form}"' in answer.headers["content-disposition"]
    return answer.content


async def rows(client: httpx.AsyncClient) -> Rows:
    return [list(row) for row in read(await export(client, "csv"))]


async def preview(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(
        "/bodies-file/preview", data={"form_token": token}, files={"file": ("some", content)}
    )


async def store(client: httpx.AsyncClient, previewed: httpx.Response) -> httpx.Response:
    """Press the button of the preview."""
    digest = re.search(r'name="digest" value="(\w+)"', previewed.text)
    table = re.search(r'<textarea name="table" hidden>([^<]*)<', previewed.text)
    assert digest is not None
    assert table is not None
    return await send(client, "/bodies-file", digest=digest[1], table=unescape(table[1]))


def sheet_of(content: bytes, form: str) -> list[list[Any]]:
    """A file as others read it."""
    if form == "csv":
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    return python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def xlsx(table: list[list[object]], far: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    for number, row in enumerate(table):
        sheet.write_row(number, 0, row)
    if far is not None:
        sheet.write(*far, "far")
    book.close()
    return file.getvalue()


@pytest.mark.parametrize("form", ["xlsx", "csv"])
async def test_an_exported_directory_comes_back_unchanged(
    engine: AsyncEngine, head: httpx.AsyncClient, form: str
) -> None:
    head.headers["accept-language"] = "en"
    content = await export(head, form)
    codes = {row[0] for row in sheet_of(content, form)}
    assert {"code", "internal_affairs", "commissioner_71"} < codes
    previewed = await preview(head, content)
    assert previewed.status_code == 200
    assert "The file changes nothing." in visible(previewed.text)
    assert (await actions(engine))[-1] == "web:bodies:exported"


async def test_a_file_changes_exactly_what_was_previewed(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    table = await rows(head)
    columns = table[0]
    # A spreadsheet makes numbers of what looks like them.
    changed: list[list[object]] = [[*row] for row in table]
    for row in changed:
        if row[0] == "internal_affairs":
            row[columns.index("contact")] = 112
        elif row[0] == "transport":
            row[columns.index("name_from")] = "2026-12-01"
            row[columns.index("name_ru")] = "Министерство путей"
    new = dict.fromkeys(columns, "") | {
        "code": "police_71",
        "kind": "department",
        "parent": "akimat_71",
        "region": "710000000",
        "directions": "order",
        "name_from": "2026-11-24",
        "name_kk": "Полиция басқармасы",
        "name_ru": "Управление полиции",
        "name_en": "Police department",
        "method": "telephone",
        "contact": "+7 7172 71 61 00",
    }
    changed.append([new[each] for each in columns])
    previewed = await preview(head, xlsx(changed))
    page = visible(previewed.text)
    for words in ("internal_affairs", "telephone | 112", "Министерство путей", "police_71"):
        assert words in page
    assert "health_71" not in page.partition("<h2")[0].partition("police_71")[0]
    assert (await find(engine, "transport")).version == 1  # nothing is stored yet
    assert (await store(head, previewed)).status_code == 303
    assert [each.value for each in (await find(engine, "internal_affairs")).contacts] == ["112"]
    assert [each.ru for each in (await find(engine, "transport")).names] == [
        "Министерство транспорта",
        "Министерство путей",
    ]
    assert (await find(engine, "police_71")).contacts[0].value == "+7 7172 71 61 00"
    assert (await find(engine, "health")).version == 1
    log = await actions(engine)
    assert log[-4:] == [*["web:body:saved"] * 3, "web:bodies:imported"]


async def test_a_file_without_working_hours_leaves_them_as_they_are(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    table = await rows(head)
    place = table[0].index("working_hours")
    row = next(each for each in table if each[0] == "transport")
    row[place] = "Mo-Fr 08:00-17:00; 2026-12-31 off"
    assert (await store(head, await preview(head, write_csv(table).encode()))).status_code == 303
    assert (await find(engine, "transport")).working_hours == row[place]
    older = [[*each[:place], *each[place + 1 :]] for each in table]
    older[table.index(row)][table[0].index("name_ru")] = "Министерство путей"
    assert (await store(head, await preview(head, write_csv(older).encode()))).status_code == 303
    changed = await find(engine, "transport")
    assert changed.names[-1].ru == "Министерство путей"
    assert changed.working_hours == row[place]


async def test_a_preview_of_before_is_not_stored(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    table = await rows(head)
    row = next(each for each in table if each[0] == "transport")
    row[table[0].index("name_ru")] = "Министерство путей"
    previewed = await preview(head, write_csv(table).encode())
    names = "2026-11-24 | Көлік | Транспорт | Transport"
    await send(head, "/bodies/transport", version="1", kind="central", names=names)
    refused = await store(head, previewed)
    assert refused.status_code == 412
    assert [each.ru for each in (await find(engine, "transport")).names] == ["Транспорт"]


async def test_one_wrong_row_stores_nothing_and_is_named(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    head.headers["accept-language"] = "en"
    table = await rows(head)
    row = next(each for each in table if each[0] == "transport")
    row[table[0].index("region")] = "999999999"
    previewed = await preview(head, write_csv(table).encode())
    assert previewed.status_code == 400
    page = visible(previewed.text)
    assert f"Row {table.index(row) + 1}" in page
    assert "This is no region" in page
    assert 'name="digest"' not in previewed.text
    refused = await send(head, "/bodies-file", table=write_csv(table), digest="")
    assert refused.status_code == 412
    assert "web:bodies:imported" not in await actions(engine)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has to name the columns"),
        (b"code,kind\nx,y", "has to name the columns"),
        (b"PK\x03\x04 broken", "neither XLSX nor CSV"),
        ("код".encode("cp1251"), "neither XLSX nor CSV"),
        (xlsx([["code"]], (1_048_575, 15)), "neither XLSX nor CSV"),
        (b"code," + b"x," * 200_000, "400 000 letters"),
    ],
    ids=["empty", "columns", "archive", "letters", "cells far from each other", "long"],
)
async def test_what_is_no_directory_is_refused(
    head: httpx.AsyncClient, content: bytes, words: str
) -> None:
    head.headers["accept-language"] = "en"
    refused = await preview(head, content)
    assert refused.status_code == 400
    assert words in visible(refused.text)
