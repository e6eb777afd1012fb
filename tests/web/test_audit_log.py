"""The page of the audit log: entries are found, kept in the address, and taken out as a file."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.rules.number import make
from callcenter.audit_log.service import PAGE
from callcenter.platform.audit import store as audit
from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.queries import EntryOrder
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.registry import offers
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.actions import RecordingAction
from callcenter.wallboard.actions import WallboardAction
from tests.web.browser import visible
from tests.web.conftest import Call, Enter
from tests.web.test_i18n import TRANSLATED
from tests.web.test_presence import post
from tests.web.test_records import rows

READ = "SELECT who, detail FROM audit_entry WHERE action = 'web:audit_log:read' ORDER BY id"
NUMBER, OTHER = make(26, 1), make(26, 2)


@pytest.fixture
async def auditor(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(Role.AUDITOR) as client:
        client.headers["accept-language"] = "en"
        yield client


async def write(engine: AsyncEngine, who: str, action: Action, subject: str, **detail: str) -> None:
    async with unit_of_work(engine) as connection:
        await audit.record(connection, who=who, action=action, subject=subject, detail=detail)


async def three(engine: AsyncEngine) -> None:
    """Entries of two people, of two actions, with two subjects."""
    await write(engine, "user:aigul", AppealAction.APPEAL_VIEWED, f"appeal:{NUMBER}", by="page")
    await write(engine, "user:dana", AppealAction.APPEAL_VIEWED, f"appeal:{OTHER}")
    await write(engine, "user:dana", AppealAction.RECORD_SAVED, f"appeal:{NUMBER}", version="=2")


async def found(client: httpx.AsyncClient, **typed: str) -> list[str]:
    """The actions and people on the page, from its first line on."""
    page = await client.get("/audit", params=typed)
    assert page.status_code == 200
    lines = page.text.partition("<tbody>")[2].partition("</tbody>")[0].split("<tr>")[1:]
    return [visible(line).strip().split(" ", 2)[2] for line in lines]


def day(ago: int) -> str:
    """The day in Almaty so many days ago, as a form sends it."""
    return f"{datetime.now(ZONE) - timedelta(days=ago):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ({"who": "dana"}, 2),
        ({"who": "user:aigul"}, 1),
        ({"subject": NUMBER}, 2),
        ({"subject": f"appeal:{OTHER}"}, 1),
        ({"action": "web:record:saved"}, 1),
        ({"who": "dana", "subject": NUMBER}, 1),
        ({"who": "dana", "since": 1, "until": 0}, 2),
        ({"who": "dana", "until": 1}, 0),
    ],
)
async def test_entries_are_found_by_person_action_subject_and_day(
    auditor: httpx.AsyncClient, engine: AsyncEngine, typed: dict[str, str | int], count: int
) -> None:
    await three(engine)
    sent = {name: day(each) if isinstance(each, int) else each for name, each in typed.items()}
    assert len(await found(auditor, **sent)) == count


async def test_the_order_and_the_search_stay_in_the_address(
    auditor: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await three(engine)
    newest = await found(auditor, who="dana")
    assert [line.split(" appeal:")[0] for line in newest] == [
        "dana Record saved",
        "dana Appeal viewed",
    ]
    assert await found(auditor, who="dana", order="oldest") == newest[::-1]
    page = (await auditor.get("/audit?who=dana&order=oldest")).text
    assert 'href="/audit?who=dana&amp;order=newest"' in page
    assert 'action="/audit/export?who=dana&amp;order=oldest"' in page
    assert 'aria-sort="ascending"' in page


async def test_entries_are_sorted_by_person_and_action(
    auditor: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await three(engine)
    lines = {order: await found(auditor, subject=NUMBER, order=order) for order in EntryOrder}
    assert [line.split()[0] for line in lines[EntryOrder.WHO]] == ["aigul", "dana"]
    assert [line.split()[1] for line in lines[EntryOrder.ACTION]] == ["Appeal", "Record"]


@pytest.mark.parametrize("order", EntryOrder)
async def test_pages_hold_every_entry_once(
    auditor: httpx.AsyncClient, engine: AsyncEngine, order: EntryOrder
) -> None:
    for number in range(PAGE + 3):
        await write(engine, "user:dana", AppealAction.APPEAL_VIEWED, f"appeal:{number}")
    seen: list[str] = []
    address: str | None = f"/audit?who=dana&order={order.value}"
    while address:
        page = (await auditor.get(address)).text
        seen += [part.partition("<")[0] for part in page.split("<code>appeal:")[1:]]
        address = next(
            (
                link.rpartition('href="')[2].replace("&amp;", "&")
                for link in page.split('" rel="next"')[:-1]
            ),
            None,
        )
    numbers = [str(number) for number in range(PAGE + 3)]
    assert seen == (numbers[::-1] if order is EntryOrder.NEWEST else numbers)


async def test_reading_the_log_is_an_entry_once_a_search(
    auditor: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for typed in ({"who": "dana"}, {"who": "dana", "order": "oldest"}, {"subject": NUMBER}):
        await auditor.get("/audit", params=typed)
    [(who, first), (_, second)] = await rows(engine, READ)
    assert who.startswith("user:")
    assert (first, second) == ({"who": "user:dana"}, {"subjects": f"appeal:{NUMBER}"})


@pytest.mark.parametrize("typed", [{"subject": f"{int(NUMBER) + 1}"}, {"until": "9999-12-31"}])
async def test_a_mistyped_search_says_so_and_keeps_it(
    auditor: httpx.AsyncClient, typed: dict[str, str]
) -> None:
    page = await auditor.get("/audit", params=typed)
    assert page.status_code == 400
    assert "There is a mistake" in visible(page.text)
    assert f'value="{next(iter(typed.values()))}"' in page.text


async def test_the_log_is_exported_whole_and_the_log_says_so(
    auditor: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await three(engine)
    answer = await post(auditor, "/audit/export?who=dana")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    heading, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert heading[:3] == ["Number", "When", "Who"]
    assert [(line[2], line[4]) for line in lines] == [
        ("user:dana", "web:appeal:viewed"),
        ("user:dana", "web:record:saved"),
    ]
    assert lines[1][6] == "version: =2"
    [(detail,)] = await rows(
        engine, "SELECT detail FROM audit_entry WHERE action = 'web:audit_log:exported'"
    )
    assert detail == {"who": "user:dana", "entries": 2}


async def test_more_than_a_file_may_hold_is_no_file(
    app: FastAPI, auditor: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await three(engine)
    site = app.state.site
    app.state.site = replace(site, settings=site.settings.model_copy(update={"export_limit": 2}))
    answer = await post(auditor, "/audit/export")
    assert answer.status_code == 400
    assert "More than 2 entries fit" in visible(answer.text)


async def test_an_appeal_shows_who_opened_it_and_its_recording(
    enter: Enter, auditor: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    subject = f"appeal:{call.number}"
    await write(engine, "user:dana", AppealAction.APPEAL_VIEWED, subject)
    heard = f"recording:{call.recording}"
    await write(engine, "user:aigul", RecordingAction.RECORDING_LISTENED, heard, reason="quality")
    await write(engine, "user:asel", WallboardAction.ALARM_ACKNOWLEDGED, subject)
    page = visible((await auditor.get(f"/appeals/{call.number}")).text)
    part = page.partition("Who opened it")[2].partition("All that was done with it")[0]
    assert "dana · Appeal viewed" in part
    assert "aigul · Recording listened to: quality" in part
    assert "asel" not in part
    for role, may in ((Role.HEAD, True), (Role.SENIOR, False), (Role.CONSULTANT, False)):
        async with enter(role) as client:
            page = (await client.get(f"/appeals/{call.number}")).text
            assert (f'href="/audit?subject=appeal%3A{call.number}"' in page) is may


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_offered_action_has_words_in_both_catalogues(language: str) -> None:
    say = Translator(language)
    assert [each for each in offers(Action) if say.plain(each.label) == each.label] == []
