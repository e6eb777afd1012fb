"""Signing in and out: sessions, lock-out, cookies, and what the audit log keeps of it."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import RateLimited
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import login_throttle, sign_in_attempts, store
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import LIMITS, LOCK_TIMEOUT, Scope, Visitor
from callcenter.platform.identity.tables import sign_in_attempt, web_session, web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.sign_in.pages import ours
from tests.web.browser import form_token, sign_in
from tests.web.conftest import PASSWORD, Enter, add_user, browse, furnished

TRIES = LIMITS[Scope.NETWORK]


@pytest.fixture
async def aigul(engine: AsyncEngine) -> store.User:
    return await add_user(engine, "aigul", Role.CONSULTANT)


async def audited(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.who, audit_entry.c.action, audit_entry.c.subject).order_by(
                audit_entry.c.id
            )
        )
        return [tuple(row) for row in rows]


async def test_a_person_signs_in_works_and_signs_out(
    visitor: httpx.AsyncClient, engine: AsyncEngine, aigul: store.User
) -> None:
    assert (await visitor.get("/search")).headers["location"] == "/sign-in?back=%2Fsearch"
    entered = await sign_in(visitor, " Aigul ", PASSWORD)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert (await visitor.get("/search")).status_code == 200
    token = await form_token(visitor, "/search")
    left = await visitor.post("/sign-out", data={"form_token": token})
    assert left.headers["location"] == "/sign-in"
    assert (await visitor.get("/search")).status_code == 303
    assert await audited(engine) == [
        ("user:aigul", "web:session:started", "user:aigul"),
        ("user:aigul", "web:session:ended", "user:aigul"),
    ]


async def test_a_signed_out_session_is_dead_on_the_server(
    app: FastAPI, visitor: httpx.AsyncClient, aigul: store.User
) -> None:
    await sign_in(visitor, "aigul", PASSWORD)
    stored = visitor.cookies["callcenter"]
    token = await form_token(visitor, "/search")
    await visitor.post("/sign-out", data={"form_token": token})
    async with browse(app, cookies={"callcenter": stored}) as thief:
        assert (await thief.get("/search")).status_code == 303


async def test_signing_in_gives_a_new_secret_stored_hashed(
    visitor: httpx.AsyncClient, engine: AsyncEngine, aigul: store.User
) -> None:
    await visitor.get("/sign-in")
    before = visitor.cookies["callcenter"]
    await sign_in(visitor, "aigul", PASSWORD)
    after = visitor.cookies["callcenter"]
    assert before != after
    async with unit_of_work(engine) as connection:
        stored = (await connection.execute(select(web_session.c.token_hash))).scalars().all()
    assert stored == [hashlib.sha256(after.encode()).digest()]


async def test_the_cookie_is_hidden_from_scripts_and_other_sites(
    app: FastAPI, visitor: httpx.AsyncClient, aigul: store.User
) -> None:
    plain = (await sign_in(visitor, "aigul", PASSWORD)).headers["set-cookie"]
    assert plain.startswith("callcenter=")
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Secure" not in plain
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://111.example") as client:
        secure = (await sign_in(client, "aigul", PASSWORD)).headers["set-cookie"]
        answer = await client.get("/search")
    assert secure.startswith("__Host-callcenter=")
    assert "Secure" in secure
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"]


async def test_cookies_need_https_behind_a_proxy_that_forgets_it(
    routes: FastAPI, settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    public = settings.model_copy(update={"public_url": "https://111.example.kz"})
    async with browse(furnished(routes, public, engine, redis)) as visitor:
        cookie = (await visitor.get("/sign-in")).headers["set-cookie"]
    assert cookie.startswith("__Host-callcenter=")
    assert "Secure" in cookie


@pytest.mark.parametrize(
    "change",
    [
        {"seen_at": datetime.now(UTC) - store.IDLE_TIMEOUT - timedelta(seconds=1)},
        {"created_at": datetime.now(UTC) - store.SESSION_LIFETIME - timedelta(seconds=1)},
    ],
    ids=["idle", "absolute"],
)
async def test_a_session_ends_by_itself(
    head: httpx.AsyncClient, engine: AsyncEngine, change: dict[str, datetime]
) -> None:
    assert (await head.get("/search")).status_code == 200
    async with unit_of_work(engine) as connection:
        await connection.execute(update(web_session).values(**change))
    assert (await head.get("/search")).status_code == 303


async def test_a_session_that_is_used_does_not_go_idle(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    old = datetime.now(UTC) - store.IDLE_TIMEOUT + timedelta(minutes=1)
    async with unit_of_work(engine) as connection:
        await connection.execute(update(web_session).values(seen_at=old))
    assert (await head.get("/search")).status_code == 200
    async with unit_of_work(engine) as connection:
        seen = (await connection.execute(select(web_session.c.seen_at))).scalar_one()
    assert seen > old


async def test_a_disabled_person_is_out_at_once_for_good(
    visitor: httpx.AsyncClient, engine: AsyncEngine, aigul: store.User
) -> None:
    await sign_in(visitor, "aigul", PASSWORD)
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, name="aigul", active=False)
    assert (await visitor.get("/search")).status_code == 303
    assert (await sign_in(visitor, "aigul", PASSWORD)).status_code == 401


async def test_all_refused_sign_ins_get_the_same_answer(
    app: FastAPI, engine: AsyncEngine, aigul: store.User
) -> None:
    await add_user(engine, "gone", Role.HEAD)
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, name="gone", active=False)
    answers = []
    for name, password in (("aigul", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD)):
        async with browse(app) as client:
            answer = await sign_in(client, name, password)
        assert "callcenter=" not in answer.headers.get("set-cookie", "")
        token = next(line for line in answer.text.split('"') if len(line) == 64)
        typed = f'value="{name}"'  # stays in the form
        assert answer.text.count(typed) == 1
        answers.append((answer.status_code, answer.text.replace(token, "").replace(typed, "")))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 401
    # What was typed as a name is kept only when it is one.
    assert [subject for _, _, subject in await audited(engine)] == [
        "user:aigul",
        "unknown",
        "user:gone",
    ]


async def test_an_unknown_name_costs_the_same_check_of_a_password(
    app: FastAPI, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    passwords = app.state.site.passwords
    check = passwords.check

    def counting(password_hash: str | None, password: str) -> bool:
        checked.append(password_hash)
        return bool(check(password_hash, password))

    monkeypatch.setattr(passwords, "check", counting)
    assert (await sign_in(visitor, "nobody", "whatever")).status_code == 401
    assert checked == [None]


@pytest.mark.parametrize("name", ["aigul", "nobody"])
async def test_a_name_is_locked_after_five_failures_for_a_time(
    visitor: httpx.AsyncClient, engine: AsyncEngine, aigul: store.User, name: str
) -> None:
    for _ in range(TRIES):
        assert (await sign_in(visitor, name, "wrong")).status_code == 401
    for _ in range(2):
        assert (await sign_in(visitor, name, PASSWORD)).status_code == 429
    async with unit_of_work(engine) as connection:
        before = datetime.now(UTC) - LOCK_TIMEOUT - timedelta(seconds=1)
        await connection.execute(update(sign_in_attempt).values(last_at=before))
    opened = await sign_in(visitor, name, PASSWORD)
    assert opened.status_code == (303 if name == "aigul" else 401)


async def test_guesses_at_the_same_moment_are_counted_too(
    app: FastAPI, engine: AsyncEngine, aigul: store.User
) -> None:
    async def guess() -> int:
        async with browse(app) as client:
            return (await sign_in(client, "aigul", "wrong")).status_code

    answers = await asyncio.gather(*(guess() for _ in range(2 * TRIES)))
    assert sorted(answers) == [401] * TRIES + [429] * TRIES
    # Guesses that were judged are in the log, and that the name was locked: it cannot be flooded.
    actions = [action for _, action, _ in await audited(engine)]
    assert actions.count("web:session:refused") == TRIES
    assert actions.count("web:session:locked") == len(actions) - TRIES == 1


async def test_an_address_is_locked_whatever_names_it_tries(engine: AsyncEngine) -> None:
    results = []
    for n in range(LIMITS[Scope.ADDRESS] + 3):
        try:
            await login_throttle.check(engine, name=f"name-{n}", visitor=Visitor("192.0.2.1"))
        except RateLimited:
            results.append(False)
        else:
            results.append(True)
    assert results == [True] * LIMITS[Scope.ADDRESS] + [False] * 3
    assert await audited(engine) == [("anonymous", "web:session:locked", "unknown")]


async def test_a_right_password_forgets_the_failures_of_the_person_only(
    engine: AsyncEngine,
) -> None:
    here = Visitor("192.0.2.1")
    async with unit_of_work(engine) as connection:
        for _ in range(3):
            await sign_in_attempts.count_attempt(connection, name="other", visitor=here)
        await sign_in_attempts.count_attempt(connection, name="own", visitor=Visitor("192.0.2.2"))
        await sign_in_attempts.count_attempt(connection, name="own", visitor=here)
        await sign_in_attempts.forgive(connection, name="own", visitor=here)
        rows = await connection.execute(
            select(sign_in_attempt.c.scope, sign_in_attempt.c.count).order_by("scope", "count")
        )
        assert [tuple(row) for row in rows] == [
            ("address", 1),
            ("address", 3),
            ("name", 1),
            ("name", 3),
            ("network", 1),
            ("network", 3),
        ]


async def test_the_past_is_forgotten_and_the_present_stays(
    engine: AsyncEngine, aigul: store.User
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    async with unit_of_work(engine) as connection:
        await sign_in_attempts.count_attempt(connection, name="old", visitor=Visitor("192.0.2.1"))
        await store.begin_session(connection, user_id=aigul.id, token="old")
        await connection.execute(update(sign_in_attempt).values(last_at=long_ago))
        await connection.execute(update(web_session).values(created_at=long_ago))
        await sign_in_attempts.count_attempt(connection, name="new", visitor=Visitor("192.0.2.2"))
        await store.begin_session(connection, user_id=aigul.id, token="new")
        await store.delete_expired(connection)
        await sign_in_attempts.delete_expired(connection)
        attempts = (await connection.execute(select(sign_in_attempt.c.key))).scalars().all()
        sessions = (await connection.execute(select(web_session.c.token_hash))).scalars().all()
    assert sorted(attempts) == sorted(
        hashlib.sha256(key).digest() for key in (b"new", b"192.0.2.2", b"new 192.0.2.2")
    )
    assert sessions == [hashlib.sha256(b"new").digest()]


async def test_the_password_is_stored_as_argon2id_only(
    engine: AsyncEngine, aigul: store.User
) -> None:
    async with unit_of_work(engine) as connection:
        stored = (await connection.execute(select(web_user.c.password_hash))).scalar_one()
    assert stored.startswith("$argon2id$")


@pytest.mark.parametrize("back", ["/appeals/2600000017", "/appeals?before=AAAA-_==", "/"])
async def test_after_sign_in_one_comes_back_to_where_one_was(back: str) -> None:
    assert ours(back) == back


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nX: y", "/\t/evil"],
)
async def test_nobody_is_sent_to_another_site(
    visitor: httpx.AsyncClient, aigul: store.User, back: str
) -> None:
    token = await form_token(visitor)
    answer = await visitor.post(
        "/sign-in",
        data={"name": "aigul", "password": PASSWORD, "form_token": token, "back": back},
    )
    assert answer.headers["location"] == "/"


async def test_a_role_without_work_here_reads_so(enter: Enter) -> None:
    async with enter(Role.KNOWLEDGE_EDITOR) as client:
        assert (await client.get("/")).status_code == 200
    async with enter(Role.ADMINISTRATOR) as client:
        assert (await client.get("/")).headers["location"] == "/live"
    async with enter(Role.HEAD) as client:
        assert (await client.get("/")).headers["location"] == "/search"
