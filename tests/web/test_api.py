"""The API: what it gives, how it tells errors, and that nothing sent to the site breaks it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.web import application
from callcenter.platform.core.errors import (
    DependencyUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    OperationFailed,
    RateLimited,
    SignInNeeded,
)
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.web.errors import status_of
from tests.services import changed
from tests.web.browser import form_token, visible
from tests.web.conftest import CONSULTANT, Call, Enter, browse
from tests.web.test_access import EXPECTED


async def test_an_appeal_is_given_with_its_events_and_recordings(
    head: httpx.AsyncClient, call: Call
) -> None:
    given = (await head.get(f"/api/v1/appeals/{call.number}")).json()
    assert given["number"] == call.number
    assert given["caller"] == {"kind": "number", "number": "+7 701 *** ** 67"}
    assert given["consultant"] == {"extension": "2001", "name": CONSULTANT}
    assert given["received_at"] == "2026-11-24T09:05:09.250000Z"
    assert given["outcome"] == "talked"
    assert [event["kind"] for event in given["events"]][:2] == ["received", "answered"]
    assert given["events"][3]["detail"] == {"language": "ru", "how": "key"}
    [recording] = given["recordings"]
    assert recording["duration_ms"] == 35_000
    assert (await head.get(recording["audio"], params={"reason": "work"})).content == call.audio


@pytest.mark.parametrize(
    ("state", "words"), [("empty", "Neither side sent any sound"), ("erased", "was erased")]
)
async def test_an_appeal_is_given_whatever_became_of_its_recording(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, state: str, words: str
) -> None:
    changed = text(
        "UPDATE recording SET state = :state,"
        " sha256 = CASE CAST(:state AS text) WHEN 'erased' THEN sha256 END"
    )
    async with unit_of_work(engine) as connection:
        await connection.execute(changed, {"state": state})
    given = (await head.get(f"/api/v1/appeals/{call.number}")).json()
    assert [(each["state"], each["audio"]) for each in given["recordings"]] == [(state, None)]
    page = await head.get(f"/appeals/{call.number}", headers={"accept-language": "en"})
    assert words in visible(page.text)


async def test_who_may_not_listen_does_not_learn_where(enter: Enter, call: Call) -> None:
    async with enter(Role.AUDITOR) as client:
        given = (await client.get(f"/api/v1/appeals/{call.number}")).json()
    assert given["recordings"][0]["audio"] is None


async def test_the_api_is_described_and_the_pages_are_not(head: httpx.AsyncClient) -> None:
    described = (await head.get("/api/openapi.json")).json()
    assert set(described["paths"]) == {path for _, path in EXPECTED if path.startswith("/api/v1/")}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/appeals/2600000000", 404),
        ("/api/v1/appeals/1", 404),
        (f"/api/v1/recordings/{UUID(int=0)}/audio?reason=work", 404),
        ("/api/v1/recordings/1/audio", 404),
        ("/api/v1/appeals?cursor=x", 400),
        ("/api/v1/appeals?limit=0", 400),
        ("/api/v1/appeals?limit=10000000000000000000000", 400),
        ("/api/nowhere", 404),
    ],
)
async def test_errors_are_problem_details(head: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await head.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]


async def test_a_wrong_method_says_which_is_right(head: httpx.AsyncClient) -> None:
    answer = await head.delete("/api/v1/appeals")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_each_family_of_errors_has_its_status() -> None:
    assert {
        status_of(error)
        for error in (InvalidRequest(), NotFound(), Forbidden(), SignInNeeded(), RateLimited())
    } == {400, 404, 403, 401, 429}
    assert status_of(DependencyUnavailable()) == 503
    assert status_of(OperationalError("", None, Exception())) == 503
    assert status_of(OperationFailed()) == 500
    assert status_of(ZeroDivisionError()) == 500


@asynccontextmanager
async def without_database(settings: Settings, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A site whose database is not there."""
    url = SecretStr(f"postgresql://postgres@/none?host={tmp_path}")
    settings = changed(settings, database_url=url)
    engine, redis = open_database(settings), open_redis(settings)
    try:
        yield application(settings, engine, redis)
    finally:
        await redis.aclose()
        await engine.dispose()


async def test_without_its_database_the_site_runs_and_is_not_ready(
    settings: Settings, tmp_path: Path
) -> None:
    async with (
        without_database(settings, tmp_path) as app,
        browse(app, cookies={"callcenter": "x"}) as client,
    ):
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})
        assert (await client.get("/search")).status_code == 503
        assert (await client.get("/static/style.css")).status_code == 200
        problem = await client.get("/api/v1/appeals")
        assert problem.json() == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
        }


async def test_with_its_database_the_site_is_ready(visitor: httpx.AsyncClient) -> None:
    ready = await visitor.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_a_database_without_our_tables_is_not_ready(
    settings: Settings, empty_database: str, redis: Redis
) -> None:
    settings = changed(settings, database_url=SecretStr(empty_database))
    engine = open_database(settings)
    async with browse(application(settings, engine, redis)) as client:
        assert (await client.get("/health/ready")).status_code == 503
    await engine.dispose()


async def test_an_error_that_nobody_foresaw_is_reported_without_its_inside(
    app: FastAPI, head: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(name: str) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app.state.site.templates, "get_template", break_down)
    monkeypatch.setattr("callcenter.appeals.calls.queries.newest", break_down)
    answer = await head.get("/api/v1/appeals")
    assert (answer.status_code, answer.headers["content-type"]) == (
        500,
        "application/problem+json",
    )
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"]


async def test_the_access_log_has_no_numbers_queries_or_names(
    head: httpx.AsyncClient, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="callcenter"):
        await head.get(f"/appeals/{call.number}?secret=1")
        await head.get(f"/appeals/nowhere/{call.number}")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" 200 ")[0] or line.rpartition(" 404 ")[0] for line in lines] == [
        "request answered: GET /appeals/{number}",
        "request answered: GET -",
    ]
    assert not [line for line in lines if call.number in line or "secret" in line]


async def test_a_form_that_is_too_large_is_refused(visitor: httpx.AsyncClient) -> None:
    token = await form_token(visitor)
    large = {"form_token": token, "name": "x" * 300_000, "password": "x"}
    answer = await visitor.post("/sign-in", data=large, headers={"accept-language": "en"})
    assert answer.status_code == 413
    assert "Nothing of it was taken in." in visible(answer.text)
    assert "Content-Security-Policy" in answer.headers
    api = await visitor.post("/api/v1/duty", data=large)
    assert (api.status_code, api.json()["status"]) == (413, 413)


HOSTILE = [
    "/appeals/" + "9" * 5000,
    "/appeals/26000000%00",
    "/appeals/٢٦٠٠٠٠٠٠١٧",
    "/appeals/..%2f..%2fetc%2fpasswd",
    "/search?q=" + "9" * 5000,
    "/search?q=%00",
    "/search?q=%ff%fe",
    "/search?q=' OR 1=1 --",
    "/search?after=%00%ff",
    "/search?after=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/search?after=" + "_" * 32,
    "/search?q=1&q=2&after=&after=x",
    "/api/v1/appeals?cursor=" + "_" * 32,
    "/api/v1/appeals?limit=NaN",
    "/api/v1/appeals?limit=1e9",
    "/api/v1/appeals/" + "9" * 5000,
    "/api/v1/recordings/..%2f..%2fetc%2fpasswd/audio",
    "/api/v1/recordings/%00/audio",
    "/static/..%2f..%2fsettings.py",
    "/static/%2e%2e/%2e%2e/settings.py",
    "/static/%00",
    "/sign-in?back=%00%ff",
    "//evil.example/%2f..",
    "/%ff%fe",
    "/appeals/",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_address_is_refused_and_nothing_breaks(
    head: httpx.AsyncClient, path: str
) -> None:
    assert (await head.get(path)).status_code in (200, 303, 400, 404)


@pytest.mark.parametrize(
    "cookie",
    [
        "callcenter=",
        "callcenter=" + "x" * 10_000,
        "callcenter=\xff\xfe; callcenter_language=\xff",
        "callcenter_language=../../etc; ;;==; callcenter",
        'callcenter="\\000\\377"',
        "callcenter=%00; callcenter=%00",
    ],
    ids=range(6),
)
async def test_a_hostile_cookie_is_nobody(visitor: httpx.AsyncClient, cookie: str) -> None:
    headers = [(b"cookie", cookie.encode("latin-1"))]
    assert (await visitor.get("/search", headers=headers)).status_code == 303
    assert (await visitor.get("/sign-in", headers=headers)).status_code == 200
    assert (await visitor.post("/sign-out", headers=headers)).status_code == 403


@pytest.mark.parametrize("field", ["name", "password", "back", "form_token"])
@pytest.mark.parametrize("value", ["\0", "\ud7ff\uffff", "x" * 300, "%", "a@b", "😀"])
async def test_a_hostile_field_of_the_sign_in_breaks_nothing(
    visitor: httpx.AsyncClient, field: str, value: str
) -> None:
    token = await form_token(visitor)
    fields = {"name": "aigul", "password": "x", "back": "/", "form_token": token}
    answer = await visitor.post("/sign-in", data=fields | {field: value})
    assert answer.status_code in (400, 401, 403)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"%ff%fe=%00&form_token=%ff", "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"anything", "multipart/form-data"),
        (b'{"form_token": []}', "application/json"),
        (b"\xff\xfe", "text/plain; charset=nonsense"),
    ],
    ids=range(5),
)
async def test_a_hostile_body_breaks_nothing(
    head: httpx.AsyncClient, body: bytes, kind: str
) -> None:
    for path in ("/sign-in", "/sign-out", "/language"):
        answer = await head.post(path, content=body, headers={"content-type": kind})
        assert answer.status_code in (400, 403)


@pytest.mark.parametrize(
    "requested", ["bytes=9-1", "bytes=a-b", "lines=1-2", "bytes=" + "0-1," * 5000]
)
async def test_a_hostile_range_breaks_nothing(
    head: httpx.AsyncClient, call: Call, requested: str
) -> None:
    answer = await head.get(
        f"/api/v1/recordings/{call.recording}/audio?reason=work", headers={"range": requested}
    )
    assert answer.status_code in (200, 206, 400, 416)


SECTIONS = ["/", "/appeals", "/appeals/", "/api/v1/appeals", "/api/v1/recordings/", "/static/"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
VALUES = st.dictionaries(st.sampled_from(["number", "before", "back", "cursor", "limit"]), TEXT)


async def test_whatever_is_requested_nothing_breaks(head: httpx.AsyncClient) -> None:
    requested: list[tuple[str, dict[str, str]]] = []

    @given(st.sampled_from(SECTIONS), TEXT, VALUES)
    def ask(section: str, path: str, values: dict[str, str]) -> None:
        requested.append((section + quote(path), values))

    ask()
    for path, values in requested:
        answer = await head.get(path, params=values)
        assert answer.status_code < 500, (path, values)
