"""What the pages show, and what is in the audit log for having shown it."""

import re
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.rules import number
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.tables import recording
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, CONSULTANT, RECEIVED, Call, Enter, browse, open_call


async def entries(engine: AsyncEngine, action: str) -> list[tuple[str, dict[str, object]]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.subject, audit_entry.c.detail)
            .where(audit_entry.c.action == action)
            .order_by(audit_entry.c.id)
        )
        return [tuple(row) for row in rows]


async def test_the_list_shows_the_appeal(head: httpx.AsyncClient, call: Call) -> None:
    head.headers["accept-language"] = "ru"
    text = visible((await head.get("/search")).text)
    for part in (
        call.number,
        "24.11.2026, 14:05:09",
        "+7 701 *** ** 67",
        "Контакт",
    ):
        assert part in text


async def test_the_menu_marks_the_closest_section_alone(head: httpx.AsyncClient) -> None:
    for path in ("/live", "/live/alarms"):
        page = (await head.get(path)).text
        assert re.findall(r'<a href="([^"]+)" aria-current="page"', page) == [path]


async def test_the_appeal_shows_its_timeline_and_its_player(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    answer = await head.get(f"/appeals/{call.number}")
    text = visible(answer.text)
    for part in (
        "Call received 14:05:09 +0:00 Call answered",
        "14:05:13 +0:04 Language settled Russian, by key",
        "Choice in the menu to speak with a consultant, by key",
        "14:05:20 +0:11 Talk with a consultant began consultant 2001",
        "14:05:56 +0:47 Call ended Talked with a consultant",
        f"{CONSULTANT} (2001)",
        "14:05:21 · 0:35",
    ):
        assert part in text
    assert f'href="/recordings/{call.recording}"' in answer.text


async def test_who_may_not_listen_gets_no_player(enter: Enter, call: Call) -> None:
    async with enter(Role.AUDITOR) as client:
        answer = await client.get(f"/appeals/{call.number}")
    assert answer.status_code == 200
    assert str(call.recording) not in answer.text


@pytest.mark.parametrize("role", [Role.CONSULTANT, Role.HEAD])
@pytest.mark.parametrize("path", ["/search", "/appeals/{number}", "/api/v1/appeals/{number}"])
async def test_a_callers_number_is_masked_for_everybody(
    enter: Enter, call: Call, path: str, role: Role
) -> None:
    path = path.format(number=call.number)
    async with enter(role) as client:
        masked = (await client.get(path)).text
    assert "+7 701 *** ** 67" in masked
    assert CALLER not in masked
    assert "2345" not in masked


@pytest.mark.parametrize("at", ["", "/api/v1"])
async def test_a_number_is_shown_whole_for_an_audited_reason(
    enter: Enter, engine: AsyncEngine, call: Call, at: str
) -> None:
    page = f"/appeals/{call.number}"
    async with enter(Role.SENIOR) as client:
        token = await form_token(client, page)
        shown = f"{at}{page}/caller-number"
        refused = await client.post(shown, data={"form_token": token, "reason": " "})
        assert (refused.status_code, CALLER in refused.text) == (400, False)
        given = await client.post(shown, data={"form_token": token, "reason": "Скорой: номер"})
        assert (given.status_code, CALLER in given.text) == (200, True)
        assert CALLER not in (await client.get(page)).text
    assert await entries(engine, "web:number:shown") == [
        (f"appeal:{call.number}", {"reason": "Скорой: номер"})
    ]


async def test_looking_at_an_appeal_is_in_the_audit_log(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as client:
        await client.get("/search")
        await client.get(f"/appeals/{call.number}")
        await client.get(f"/api/v1/appeals/{call.number}")
        await client.get("/appeals/2600000000")
    assert await entries(engine, "web:appeal:viewed") == [
        (f"appeal:{call.number}", {"by": "record"}),
        (f"appeal:{call.number}", {"by": "api"}),
    ]


async def test_a_typed_number_leads_to_its_appeal(head: httpx.AsyncClient, call: Call) -> None:
    typed = f" {call.number[:2]}-{call.number[2:6]} {call.number[6:]} "
    answer = await head.get("/search", params={"q": typed})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/appeals/{call.number}")


async def test_a_wrong_number_is_distinguished_from_an_unknown_one(head: httpx.AsyncClient) -> None:
    head.headers["accept-language"] = "en"
    unknown = number.make(26, 99)
    mistyped = unknown[:-1] + str((int(unknown[-1]) + 1) % 10)
    answers = {
        wrong: visible((await head.get("/search", params={"q": wrong})).text)
        for wrong in (unknown, mistyped, "<script>")
    }
    assert "There is no appeal with this number." in answers[unknown]
    assert "There is a mistake in the number" in answers[mistyped]
    assert "Nothing was found." in answers["<script>"]


async def test_what_is_typed_comes_back_escaped(head: httpx.AsyncClient) -> None:
    answer = await head.get("/search", params={"q": '"><script>x'})
    assert "<script>x" not in answer.text
    assert "&lt;script&gt;x" in answer.text


@pytest.mark.parametrize("kind", ["pages", "api"])
async def test_pages_of_the_list_hold_every_appeal_once(
    head: httpx.AsyncClient, engine: AsyncEngine, kind: str
) -> None:
    # Some at the same instant, across the edge of a page.
    given = [
        await open_call(engine, f"call-{n}", RECEIVED + timedelta(seconds=n // 10))
        for n in range(103)
    ]
    seen: list[str] = []
    address = "/search" if kind == "pages" else "/api/v1/appeals"
    while address:
        answer = await head.get(address)
        if kind == "pages":
            seen += re.findall(r'href="/appeals/([0-9]{10})"', answer.text)
            following = re.search(r'href="(/search\?after=[^"]+)" rel="next"', answer.text)
            address = following[1] if following else ""
        else:
            seen += [row["number"] for row in answer.json()["appeals"]]
            cursor = answer.json()["next"]
            address = f"/api/v1/appeals?cursor={cursor}" if cursor else ""
    assert len(seen) == len(given)
    assert set(seen) == {number for _, number in given}


async def test_an_appeal_of_a_running_call_is_in_progress(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    head.headers["accept-language"] = "en"
    _, living = await open_call(engine, "call-1", RECEIVED)
    for path in ("/search", f"/appeals/{living}"):
        assert "in progress" in visible((await head.get(path)).text)


@pytest.mark.parametrize(
    ("caller_kind", "reported"), [("withheld", "withheld"), ("unreadable", "unreadable")]
)
async def test_a_caller_without_a_number_is_shown_in_words(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, caller_kind: str, reported: str
) -> None:
    head.headers["accept-language"] = "en"
    async with unit_of_work(engine) as connection:
        await connection.execute(update(appeal).values(caller_kind=caller_kind, caller_number=None))
    assert reported in visible((await head.get("/search")).text)


@pytest.mark.parametrize(
    ("state", "reported"),
    [
        ("recording", "The conversation is being recorded"),
        ("closed", "The recording is being stored"),
        ("failed", "The recording failed"),
    ],
)
async def test_a_recording_that_is_not_stored_says_how_it_stands(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, state: str, reported: str
) -> None:
    head.headers["accept-language"] = "en"
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(recording).values(state=state, sha256=None, store_name=None, duration_ms=None)
        )
    answer = await head.get(f"/appeals/{call.number}")
    assert reported in visible(answer.text)
    assert f"/recordings/{call.recording}" not in answer.text
    assert (
        await head.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    ).status_code == 404


async def test_a_recording_is_heard_whole_and_in_parts(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    address = f"/api/v1/recordings/{call.recording}/audio?reason=work"
    whole = await head.get(address)
    assert (whole.status_code, whole.content) == (200, call.audio)
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"] == "no-store"
    part = await head.get(address, headers={"range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, call.audio[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(call.audio)}"
    last = await head.get(address, headers={"range": "bytes=-5"})
    assert (last.status_code, last.content) == (206, call.audio[-5:])
    beyond = await head.get(address, headers={"range": f"bytes={len(call.audio)}-"})
    assert beyond.status_code == 416
    # All of that is one listening.
    assert await entries(engine, "web:recording:listened") == [
        (f"recording:{call.recording}", {"appeal": str(call.id), "reason": "work"})
    ]


async def test_a_refused_listening_is_not_a_listening(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as client:
        await client.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    assert await entries(engine, "web:recording:listened") == []


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "2026/11/24/lost.flac.age", "2026"])
async def test_nothing_outside_the_store_is_ever_sent(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call, name: str
) -> None:
    (settings.recordings.parent / "secret").write_text("secret")
    async with unit_of_work(engine) as connection:
        await connection.execute(update(recording).values(store_name=name))
    answer = await head.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
    }


async def test_the_language_is_remembered_and_leads_back(
    app: FastAPI, head: httpx.AsyncClient, call: Call
) -> None:
    token = await form_token(head, "/search")
    answer = await head.post(
        "/language",
        data={"language": "ru", "back": f"/appeals/{call.number}", "form_token": token},
    )
    assert answer.headers["location"] == f"/appeals/{call.number}"
    head.headers["accept-language"] = "en"
    assert '<html lang="ru">' in (await head.get("/search")).text
    async with browse(app) as other:
        assert '<html lang="kk">' in (await other.get("/sign-in")).text


async def test_every_answer_carries_the_headers_that_protect(
    app: FastAPI, head: httpx.AsyncClient, call: Call
) -> None:
    for path in ("/search", "/nowhere", "/api/v1/appeals", "/static/style.css", "/health/live"):
        headers = (await head.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        stored = "immutable" if path.startswith("/static") else "no-store"
        assert stored in headers["cache-control"]


async def test_pages_have_nothing_inline_and_nothing_from_elsewhere(
    head: httpx.AsyncClient, call: Call
) -> None:
    for path in ("/search", f"/appeals/{call.number}", "/nowhere"):
        page = (await head.get(path)).text
        assert page.count("<script") == page.count('<script src="/static/')
        assert "<style" not in page
        assert " style=" not in page
        assert re.search(r"<[^>]* on[a-z]+=", page) is None
        assert re.search(r'(?:src|href|action)="(?!/[^/]|#content)', page) is None


async def test_files_are_served_by_name_and_only_those(visitor: httpx.AsyncClient) -> None:
    for name, kind in (("style.css", "text/css"), ("keys.js", "text/javascript")):
        answer = await visitor.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
    for name in ("../words.py", "..%2fwords.py", "%2e%2e%2fwords.py", "nothing.css", ""):
        assert (await visitor.get(f"/static/{name}")).status_code == 404
