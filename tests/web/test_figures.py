"""The page of figures: any days, for whom it is, and the lists behind it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import state_history
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.storage.test_figures import Generated, save
from tests.web.conftest import RECEIVED, Call, Enter

DAY = {"since": "2026-10-01", "until": "2026-10-01"}
MONTH = {"since": "2026-10-01", "until": "2026-10-31"}
NINE = 10 * 1440 + 9 * 60  #: the minute of nine o'clock on the first of October
CALLS = (
    Generated(NINE, 0, 1, "talked", 5),
    Generated(NINE + 1, 0, 2, "talked", 25),
    Generated(NINE + 2, 0, 2, "gave_up", 40),
    Generated(NINE + 24 * 60, 0, 3, "to_1414", 0),
)


#: One of a caller who has an appeal of it, and two of callers who have none.
REFUSALS = ("refused", "only_counted", "only_counted")


def big(page: str, name: str) -> str:
    """The large number above these words."""
    found = re.search(r'<span class="big">((?:(?!</span>).)*)</span><span>' + name, page)
    assert found, name
    return re.sub("<[^>]+>", "", found[1])


@pytest.fixture
async def calls(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await save(connection, CALLS)


async def test_figures_of_a_month_open_the_calls_behind_them(
    head: httpx.AsyncClient, calls: None, engine: AsyncEngine
) -> None:
    head.headers["accept-language"] = "en"
    page = (await head.get("/figures", params=MONTH)).text
    assert "01.10.2026 – 31.10.2026" in page
    assert big(page, "Calls received") == "4"
    assert big(page, "Service level") == "33%"
    assert big(page, "Calls abandoned") == "1"
    assert big(page, "Wait in the queue, 95th percentile") == "0:40"
    assert big(page, "Unique callers") == "3"
    assert "By day" in page
    links = set(re.findall(r'<a href="(/figures/calls[^"]+)">(\d+)</a>', page))
    assert len(links) > 10
    for address, number in links:
        listed = (await head.get(address.replace("&amp;", "&"))).text
        assert (address, listed.count("data-row")) == (address, int(number))
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            text("SELECT detail FROM audit_entry WHERE action = 'web:appeals:searched'")
        )
        assert len([row for row in rows if "figure" in row.detail]) == len(links)


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("kk", "Қабылданбаған қоңыраулар"),
        ("ru", "Отклонённые звонки"),
        ("en", "Calls refused"),
    ],
)
async def test_refused_calls_are_figures_of_hours_and_days(
    head: httpx.AsyncClient, engine: AsyncEngine, language: str, name: str
) -> None:
    refused = [Generated(NINE, n, n, end, 0) for n, end in enumerate(REFUSALS)]
    async with unit_of_work(engine) as connection:
        await save(connection, (*CALLS, *refused))
    head.headers["accept-language"] = language
    page = (await head.get("/figures", params=MONTH)).text
    assert big(page, name) == "3"
    assert f"<dt>{name}</dt>" in page
    _, of_hours, of_days = page.split(f"<h3>{name}</h3>")
    for table, first in ((of_hours, "09:00"), (of_days, "01.10")):
        body = table.partition("<tbody>")[2].partition("</tbody>")[0]
        (row,) = re.findall("<tr>.*?</tr>", body, re.S)
        assert re.search(rf'<th scope="row">.*{re.escape(first)}<', row)
        assert re.findall(r'<td class="number">(?:<a [^>]+>)?(\d+)<', row) == ["3", "1"]
    address = re.search(r'href="(/figures/calls[^"]+refused_with_appeal[^"]*)"', of_hours)
    assert address
    listed = (await head.get(address[1].replace("&amp;", "&"))).text
    assert listed.count("data-row") == 1


async def test_a_day_has_its_hours_alone(head: httpx.AsyncClient, calls: None) -> None:
    head.headers["accept-language"] = "en"
    page = (await head.get("/figures", params=DAY)).text
    assert "By day" not in page
    assert re.search(r'09:00</th>.*?hour=9"?>3<', page, re.S)
    assert page.count('<figure class="plot">') == 3


async def test_yesterday_is_shown_without_a_question(
    head: httpx.AsyncClient,
) -> None:
    yesterday = datetime.now(ZONE).date() - timedelta(days=1)
    assert f"{yesterday:%d.%m.%Y}" in (await head.get("/figures")).text


@pytest.mark.parametrize(
    "typed",
    [
        {"since": "2026-10-02", "until": "2026-10-01"},
        {"since": "2020-10-02", "until": "2026-10-01"},
        {"since": "2126-10-02", "until": "2126-10-02"},
        {"since": "0001-01-01", "until": "0001-01-02"},
        {"since": "9999-12-31", "until": "9999-12-31"},
    ],
)
async def test_impossible_days_are_refused_and_stay_typed(
    head: httpx.AsyncClient, typed: dict[str, str]
) -> None:
    head.headers["accept-language"] = "en"
    answer = await head.get("/figures", params=typed)
    assert answer.status_code == 400
    assert f'value="{typed["since"]}"' in answer.text
    assert "Choose up to 92 days" in answer.text
    assert (await head.get("/figures/calls", params=typed)).status_code == 400


async def test_the_seconds_of_the_service_level_are_a_setting(
    head: httpx.AsyncClient, app: FastAPI, calls: None, settings: Settings
) -> None:
    head.headers["accept-language"] = "en"
    longer = settings.model_copy(update={"service_level_seconds": 30})
    app.state.site = replace(app.state.site, settings=longer)
    page = (await head.get("/figures", params=MONTH)).text
    assert big(page, "Service level") == "66%"
    assert "Answered within 30 seconds" in page
    assert "20 seconds" not in page


async def test_hours_of_consultants_in_each_state_are_shown(
    head: httpx.AsyncClient, call: Call, engine: AsyncEngine
) -> None:
    begin = datetime(2026, 9, 30, 18, tzinfo=UTC)  # an hour before the day in Asia/Almaty
    states = (
        (0, PresenceState.READY, None),
        (2, PresenceState.TALKING, None),
        (3, PresenceState.PAUSED, "lunch"),
        (5, PresenceState.PAUSED, "recovery"),
        (8, PresenceState.SIGNED_OUT, "asked"),
    )
    async with unit_of_work(engine) as connection:
        await state_history.save(
            connection,
            [
                PresenceChange("2001", state, why, begin + timedelta(hours=after), "self")
                for after, state, why in states
            ],
        )
    head.headers["accept-language"] = "en"
    page = (await head.get("/figures", params=DAY)).text
    row = re.search(r"<th scope=\"row\">2001.*?</tr>", page, re.S)
    assert row
    at_work, *times = re.findall(r">(\d+:\d\d)<", row[0])
    assert at_work == "7:00"
    assert times == ["1:00", "0:00", "1:00", "0:00", "3:00", "2:00"]


async def test_figures_are_for_senior_and_head(enter: Enter, call: Call) -> None:
    day = {"since": f"{RECEIVED:%Y-%m-%d}", "until": f"{RECEIVED:%Y-%m-%d}"}
    for role in Role:
        async with enter(role) as client:
            expected = 200 if role in (Role.SENIOR, Role.HEAD) else 403
            for path in ("/figures", "/figures/calls"):
                answer = await client.get(path, params=day)
                assert (role, path, answer.status_code) == (role, path, expected)
