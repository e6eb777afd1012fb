"""A program hands messages and files over by a token that is good for that alone."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.followup import attachments
from callcenter.appeals.permissions import AppealPermission
from callcenter.intake.permissions import IntakePermission
from callcenter.intake.rules.messages import SENDER_LIMIT, TEXT_LIMIT
from callcenter.platform.identity import api_clients
from callcenter.platform.identity.permissions import Permission
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.objects import ObjectStoreUnavailable
from tests.intake.messages import TEXT, change, rows
from tests.web.conftest import browse
from tests.web.test_attachments import PDF

MESSAGES = "/api/v1/intake/messages"
JSON = {"content-type": "application/json"}
READ = "UPDATE written_contact SET holder = 'a', read_at = now()"
SENT: dict[str, Any] = {
    "id": "m-1",
    "channel": "portal",
    "language": "kk",
    "received_at": datetime.now(UTC).isoformat(),
    "text": TEXT,
}


async def program(
    app: FastAPI, engine: AsyncEngine, name: str, *scopes: Permission
) -> httpx.AsyncClient:
    async with unit_of_work(engine) as connection:
        await api_clients.add(connection, name, f"token-{name}", scopes)
    return browse(app, headers={"Authorization": f"Bearer token-{name}"})


@pytest.fixture
async def portal(app: FastAPI, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with await program(app, engine, "portal", IntakePermission.SEND) as client:
        yield client


async def test_a_program_has_the_number_and_the_same_again(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    first = await portal.post(MESSAGES, json=SENT)
    assert (first.status_code, first.json()["is_new"]) == (201, True)
    again = await portal.post(MESSAGES, json=SENT)
    assert (again.status_code, again.json()) == (200, first.json() | {"is_new": False})
    further = SENT | {"id": "m-2", "text": "И ещё", "danger": True, "names": first.json()["number"]}
    assert (await portal.post(MESSAGES, json=further)).json()["number"] != first.json()["number"]
    assert (
        await rows(engine, "SELECT source, author FROM intake_message")
        == [("machine:portal", "machine:portal")] * 2
    )
    assert await rows(engine, "SELECT urgent FROM written_contact ORDER BY 1") == [
        (False,),
        (True,),
    ]


async def test_the_longest_message_is_taken_however_it_is_written(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    longest = SENT | {"text": "😢" * TEXT_LIMIT, "sender": "Ә" * SENDER_LIMIT}
    sent = await portal.post(MESSAGES, content=json.dumps(longest), headers=JSON)
    assert sent.status_code == 201
    again = await portal.post(MESSAGES, json=longest)
    assert (again.status_code, again.json()["number"]) == (200, sent.json()["number"])
    too_large = json.dumps(longest | {"text": "a" * 1024**2})
    assert (await portal.post(MESSAGES, content=too_large, headers=JSON)).status_code == 413


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a/b"},
        {"id": ""},
        {"id": "а"},
        {"channel": "paper"},
        {"language": "en"},
        {"text": "а" * 50_001},
        {"received_at": "2026-11-24T10:00:00"},
        {"received_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
        {"thread": "\0"},
    ],
)
async def test_a_wrong_message_is_refused_and_leaves_nothing(
    portal: httpx.AsyncClient, engine: AsyncEngine, wrong: dict[str, str]
) -> None:
    assert (await portal.post(MESSAGES, json=SENT | wrong)).status_code == 400
    assert await rows(engine, "SELECT 1 FROM appeal") == []


async def test_a_message_with_half_a_character_is_stored(
    portal: httpx.AsyncClient, head: httpx.AsyncClient
) -> None:
    cut = {"text": TEXT + "\ud83d", "sender": "\ude22 Аружан", "names": "\ud83d"}
    sent = await portal.post(MESSAGES, content=json.dumps(SENT | cut), headers=JSON)
    assert sent.status_code == 201
    shown = (await head.get(f"/appeals/{sent.json()['number']}")).text
    for said in (TEXT + "\ufffd", "\ufffd Аружан"):
        assert said in shown


async def test_files_are_stored_once_and_read_again_by_somebody(
    portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    files = {"file": ("a.pdf", PDF, "application/pdf")}
    assert (await portal.post(f"{MESSAGES}/m-1/files", files=files)).status_code == 404
    await portal.post(MESSAGES, json=SENT)
    await change(engine, READ)
    for _ in range(2):
        stored = await portal.post(f"{MESSAGES}/m-1/files", files=files)
        assert (stored.status_code, stored.json()["type"]) == (200, "pdf")
        assert await rows(engine, "SELECT read_at FROM written_contact") == [(None,)]
    assert await rows(engine, "SELECT state, author FROM record_attachment") == [
        ("kept", "machine:portal")
    ]
    wrong = {"file": ("a.pdf", b"MZ\x90\0" * 100, "application/pdf")}
    assert (await portal.post(f"{MESSAGES}/m-1/files", files=wrong)).status_code == 400


async def test_a_file_that_is_not_stored_leaves_what_was_read(
    portal: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ObjectStoreUnavailable("away")

    async def send() -> tuple[int, bool]:
        files = {"file": ("a.pdf", PDF, "application/pdf")}
        status = (await portal.post(f"{MESSAGES}/m-1/files", files=files)).status_code
        [(is_read,)] = await rows(engine, "SELECT read_at IS NOT NULL FROM written_contact")
        return status, is_read

    await portal.post(MESSAGES, json=SENT)
    await change(engine, READ)
    with monkeypatch.context() as patched:
        patched.setattr(attachments, "FILE_LIMIT", 0)
        assert await send() == (400, True)
    with monkeypatch.context() as patched:
        patched.setattr(attachments, "store_content", fail)
        assert await send() == (500, False)  # it is on the page, as arriving
        await change(engine, READ)
        assert await send() == (500, True)
    assert await send() == (200, False)  # all of it is there now


async def test_a_new_token_goes_on_with_the_messages(
    app: FastAPI, portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    first = await portal.post(MESSAGES, json=SENT | {"thread": "a"})
    async with unit_of_work(engine) as connection:
        await api_clients.renew(connection, "portal", "token-new")
    assert (await portal.post(MESSAGES, json=SENT)).status_code == 401
    async with browse(app, headers={"Authorization": "Bearer token-new"}) as renewed:
        for each, status in (({}, 200), ({"id": "m-2"}, 201)):
            sent = await renewed.post(MESSAGES, json=SENT | {"thread": "a"} | each)
            assert (sent.status_code, sent.json()["number"]) == (status, first.json()["number"])


async def test_a_token_is_good_for_its_scopes_and_messages(
    app: FastAPI, portal: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await portal.post(MESSAGES, json=SENT)
    files = {"file": ("a.pdf", PDF, "application/pdf")}
    query = {"number": "2600000014", "proof": "0000", "language": "ru", "visitor": "a"}
    assert (await portal.post("/api/v1/status", json=query)).status_code == 403
    async with await program(app, engine, "status", AppealPermission.ASK_STATUS) as asking:
        assert (await asking.post(MESSAGES, json=SENT)).status_code == 403
    async with await program(app, engine, "other", IntakePermission.SEND) as other:
        assert (await other.post(f"{MESSAGES}/m-1/files", files=files)).status_code == 404
        assert (await other.post(MESSAGES, json=SENT)).status_code == 201  # an id of its own
    assert await rows(engine, "SELECT count(*) FROM appeal") == [(2,)]
