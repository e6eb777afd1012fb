"""How appeals stand, told to a machine's visitors who prove that they are theirs (R13)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.alerts import STATUS_GUESSED
from callcenter.appeals.jobs import alert_of_guessing
from callcenter.appeals.rules.number import make
from callcenter.appeals.status import lookup
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import api_clients
from callcenter.platform.identity.permissions import NonUser, Role, permissions_of
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.services import changed
from tests.storage.test_status_lookup import appeal
from tests.web.conftest import Enter, browse

TOKEN = "a-token-of-the-portal"
UNKNOWN = make(26, 4_000_000)
OF_WORK = {"applicant.phone": "+77012345667", "topics": ["labour"]}
#: Requests that two bodies have, one of them twice, and one that has ended.
OF_TWO_BODIES = """
    INSERT INTO body_request (id, appeal_id, body, direction, language, state, version, begun_at,
        author, number, dated, due_on)
    SELECT gen_random_uuid(), appeal.id, body, 'order', 'ru', state, 1, dated, 'user:a', given,
        dated, dated + 20
    FROM appeal, (VALUES
        ('internal_affairs', 'sent', 'ЗТ-0', date '2026-11-24'),
        ('internal_affairs', 'accepted', 'ЗТ-1', '2026-11-25'),
        ('justice', 'overdue', 'ЗТ-2', '2026-11-26'),
        ('labour', 'answered', 'ЗТ-3', '2026-11-27')
    ) AS requests (body, state, given, dated)
    WHERE appeal.number = :number
"""


@pytest.fixture
async def portal(app: FastAPI, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with unit_of_work(engine) as connection:
        await api_clients.add(connection, "portal", TOKEN, permissions_of(NonUser.MACHINE))
    async with browse(app, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


async def ask(
    portal: httpx.AsyncClient,
    number: str,
    proof: str = "0427",
    visitor: str = "a",
    language: str = "ru",
) -> httpx.Response:
    requested = {"number": number, "proof": proof, "language": language, "visitor": visitor}
    return await portal.post("/api/v1/status", json=requested)


async def test_who_proves_it_gets_number_stage_and_dates_only(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    number = await appeal(engine)
    for proof in ("4567", "0427", "1122"):
        answer = await ask(portal, f"{number[:2]} {number[2:6]} {number[6:]}", proof)
        assert answer.json() == {
            "number": number,
            "stage": "forwarded",
            "stage_name": "В государственном органе",
            "registered_on": None,
            "due_on": "2026-12-16",
            "sources": [],
        }
    kazakh = await ask(portal, number, language="kk")
    assert kazakh.json()["stage_name"] == "Мемлекеттік органда"
    async with unit_of_work(engine) as connection:
        audited = await connection.execute(text("SELECT who, action, subject FROM audit_entry"))
        assert set(map(tuple, audited.all())) == {
            ("machine:portal", "web:appeal:status_told", f"appeal:{number}")
        }


async def test_who_has_the_receipt_hears_which_body_has_it(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    number = await appeal(engine, content=OF_WORK)
    async with unit_of_work(engine) as connection:
        await connection.execute(text(OF_TWO_BODIES), {"number": number})
    names = {"ru": "Министерство юстиции", "kk": "Әділет министрлігі"}
    for language, name in names.items():
        answer = await ask(portal, number, language=language)
        [latest, *earlier] = answer.json()["sources"]
        assert latest == {
            "name": name,
            "number": "ЗТ-2",
            "dated": "2026-11-26",
            "telephone": None,
        }
        assert [each["number"] for each in earlier] == ["ЗТ-1", "ЗТ-0"]
    for proof in ("4567", "5667"):  # whoever is at home knows it
        assert (await ask(portal, number, proof)).json()["sources"] == []
    # A version after this may have changed what is read of them: the rest is said all the same.
    async with unit_of_work(engine) as connection:
        await connection.execute(text("ALTER TABLE body RENAME TO body_of_another_version"))
    answer = await ask(portal, number)
    assert (answer.status_code, answer.json()["sources"]) == (200, [])


async def test_all_refusals_of_a_status_are_alike_and_cost_alike(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    number, joined = await appeal(engine), await appeal(engine)
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text(
                "UPDATE record SET stage = 'joined', joined_to = (SELECT id FROM appeal WHERE"
                " number = :goes_on) WHERE appeal_id = (SELECT id FROM appeal WHERE number = :it)"
            ),
            {"goes_on": number, "it": joined},
        )
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    works, answers = set(), set()
    await ask(portal, UNKNOWN)  # the first of a minute notes that the machine was seen
    for which, proof in ((number, "9999"), (UNKNOWN, "0427"), (joined, "9999")):
        statements.clear()
        answer = await ask(portal, which, proof, f"visitor of {which}")
        works.add(tuple(statements))
        answers.add((answer.status_code, answer.text))
    for _ in range(lookup.APPEAL_ATTEMPT_LIMIT):
        await ask(portal, number, "9999", "guesser")
    statements.clear()
    answer = await ask(portal, number, "0427", "its applicant")  # right, and too late
    works.add(tuple(statements))
    answers.add((answer.status_code, answer.text))
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    assert len(works) == 1
    assert [status for status, _ in answers] == [404]


async def test_a_guessing_visitor_is_shut_out_alone(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    number = await appeal(engine)
    for sequence in range(lookup.CALLER_ATTEMPT_LIMIT):
        await ask(portal, make(26, 5_000 + sequence), "9999", "guesser")
    assert (await ask(portal, number, visitor="guesser")).status_code == 404
    for _ in range(lookup.CALLER_ATTEMPT_LIMIT + 1):  # tries that fit are none
        assert (await ask(portal, number, visitor="another")).status_code == 200


async def test_guessing_visitors_shut_out_nobody_and_raise_an_alert(
    portal: httpx.AsyncClient,
    app: FastAPI,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    number = await appeal(engine)
    strict = changed(settings, status_tries=3)
    app.state.site = replace(app.state.site, settings=strict)
    for visitor in "abcd":
        assert (await ask(portal, UNKNOWN, visitor=visitor)).status_code == 404
    # Whoever knows the code comes through; whoever guesses has fewer tries than before.
    assert (await ask(portal, number, visitor="applicant")).status_code == 200
    for sequence in range(lookup.GUESSED_ATTEMPT_LIMIT):
        await ask(portal, make(26, 5_000 + sequence), "9999", "guesser")
    assert (await ask(portal, number, visitor="guesser")).status_code == 404
    for _ in range(2):
        await alert_of_guessing(WorkerResources(strict, engine), redis)
    assert await redis.hgetall("desk:alarm_counts") == {STATUS_GUESSED.key: "1"}
    assert "status lookup guessed: API client portal" in caplog.text


async def test_only_a_registered_machine_may_ask(
    portal: httpx.AsyncClient, app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    number = await appeal(engine)
    for header in ("Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN} x", "\x7f"):
        async with browse(app, headers={"Authorization": header}) as client:
            refused = await ask(client, number)
            assert refused.status_code in (401, 403), header  # by another way: no form token
    for role in (Role.HEAD, Role.ADMINISTRATOR):
        async with enter(role) as client:
            form_token = (await client.get("/api/v1/session")).json()["form_token"]
            client.headers["X-Form-Token"] = form_token
            assert (await ask(client, number)).status_code == 403
    for path in ("/api/v1/appeals", "/api/v1/session", f"/api/v1/appeals/{number}/record"):
        assert (await portal.get(path)).status_code == 403, path
    async with unit_of_work(engine) as connection:
        await api_clients.revoke(connection, "portal")
        stored = str([tuple(row) for row in await connection.execute(text("TABLE machine"))])
        assert TOKEN not in stored
    revoked = await ask(portal, number)
    assert (revoked.status_code, revoked.headers["www-authenticate"]) == (401, "Bearer")


HOSTILE: list[dict[str, object]] = [
    {"number": "2600000001"},  # the check digit is another
    {"number": "' OR 1=1 --"},
    {"number": "\0" * 10},
    {"number": "٢٦٠٠٠٠٠٠١٧"},
    {"number": "9" * 5000},
    {"number": 2600000017},
    {"proof": ""},
    {"proof": "042"},
    {"proof": "04271"},
    {"proof": "٤٥٦٧"},
    {"proof": "0427\n"},
    {"proof": "%%%%"},
    {"proof": None},
    {"proof": ["0427"]},
    {"language": "en"},
    {"visitor": ""},
    {"visitor": "x" * 5000},
]


async def test_hostile_questions_are_refused_and_are_no_tries(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    right = {"number": UNKNOWN, "proof": "0427", "language": "kk", "visitor": "a"}
    for wrong in HOSTILE:
        answer = await portal.post("/api/v1/status", json=right | wrong)
        assert (answer.status_code, answer.json()["status"]) == (400, 400), wrong
    async with unit_of_work(engine) as connection:
        tries = await connection.execute(text("SELECT count(*) FROM status_attempt"))
        assert tries.scalar_one() == 0
