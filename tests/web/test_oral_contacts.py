"""What was said by telephone or in person about an appeal is noted on it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.timezone import ZONE
from tests.appeals import read_all_rows
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, open_call
from tests.web.test_records import rows, send
from tests.web.test_search import found

SAID = {
    "party": "state_body",
    "whom": "Управление полиции, Серикбаев",
    "post": "дежурный инспектор",
    "said": "Выехали в 14:20, подтвердилось",
}


def at(ago: timedelta) -> str:
    return f"{datetime.now(ZONE) - ago:%Y-%m-%dT%H:%M}"


async def note(client: httpx.AsyncClient, number: str, **said: str) -> httpx.Response:
    token = await form_token(client, f"/appeals/{number}")
    return await client.post(
        f"/appeals/{number}/oral-contacts", data=SAID | said | {"form_token": token}
    )


async def test_an_oral_contact_is_noted_found_and_encrypted(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    unwritten = await note(head, call.number, at=at(timedelta(minutes=5)))
    assert unwritten.status_code == 400
    assert "save the record first" in visible(unwritten.text)
    await send(head, call.number, version=0, **{"f.content": "-"})
    noted = await note(head, call.number, at=at(timedelta(minutes=5)))
    assert (noted.status_code, noted.headers["location"]) == (303, f"/appeals/{call.number}#oral")
    page = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "State body: Управление полиции, Серикбаев, дежурный инспектор." in page
    assert "An oral contact: Управление полиции, Серикбаев" in page
    assert await found(head, "Серикбаев") == [call.number]
    stored = await read_all_rows(engine)
    assert call.number in stored
    assert "Серикбаев" not in stored
    assert "инспектор" not in stored
    audited = await rows(
        engine, "SELECT subject FROM audit_entry WHERE action = 'web:oral_contact:noted'"
    )
    assert audited == [(f"appeal:{call.number}",)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"whom": " ", "at": at(timedelta())},
        {"said": " ", "at": at(timedelta())},
        {"at": at(-timedelta(hours=1))},
        {"at": at(timedelta(days=400))},
    ],
)
async def test_a_note_without_its_facts_is_not_written(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, wrong: dict[str, str]
) -> None:
    await send(head, call.number, version=0, **{"f.content": "-"})
    assert (await note(head, call.number, **wrong)).status_code == 400
    assert await rows(engine, "SELECT 1 FROM oral_contact") == []


async def test_a_masked_appeal_has_no_words_of_oral_contacts(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **{"f.content": "-"})
    await note(head, call.number, at=at(timedelta(minutes=5)))
    await send(head, call.number, "no-request", version=1, disposition="test")
    assert await rows(engine, "SELECT party, sealed FROM oral_contact") == [("state_body", None)]
    assert (await head.get(f"/appeals/{call.number}")).status_code == 200


async def test_oral_contacts_go_on_in_the_appeal_that_goes_on(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, other = await open_call(engine, "call-2", datetime.now(UTC))
    for number in (call.number, other):
        await send(head, number, version=0, **{"f.content": "-"})
    await note(head, call.number, at=at(timedelta(minutes=5)))
    part = await send(head, call.number, "split", version=1, key="content")
    of_part = part.headers["location"].split("/")[2]
    assert SAID["said"] in (await head.get(f"/appeals/{of_part}")).text
    await send(head, call.number, "join", version=2, into=other, reason="Одно и то же")
    for number in (call.number, other, of_part):
        assert SAID["said"] in (await head.get(f"/appeals/{number}")).text
    assert await found(head, "Серикбаев") == [other]
