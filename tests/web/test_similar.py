"""Searches kept by name, and what is known already while a record is being typed."""

import re
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.search import saved_searches
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role, permissions_of
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_record_api import authorized
from tests.web.test_records import IDENTIFIER, WHOLE, rows, send


async def existing(client: httpx.AsyncClient, number: str, **typed: str) -> list[str]:
    answer = await send(client, number, "similar", version=0, **typed)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return re.findall(r'href="/appeals/(\d{10})"', answer.text)


async def test_earlier_and_similar_appeals_are_shown_while_typing(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, new = await open_call(engine, "call-2", datetime.now(UTC))
    await send(head, call.number, version=0, **WHOLE)
    assert await existing(head, new, **{"f.applicant.name": "Seitova"}) == [call.number]
    assert await existing(head, new, **{"f.applicant.identifier": IDENTIFIER}) == [call.number]
    assert await existing(head, new, **{"f.content": "Бывший муж алименты не платит"}) == []
    assert await existing(head, new, **{"f.content": "Не платит алименты"}) == [call.number]
    assert await existing(head, new, **{"f.content": "Затопили соседи квартиру"}) == []
    assert await existing(head, call.number, **{"f.applicant.name": "Сейтова"}) == []  # itself
    looks = await rows(engine, "SELECT count(*) FROM audit_entry WHERE detail->>'by' = 'typing'")
    assert looks == [(1,)]
    lost = {AppealPermission.SEE_PERSONAL, AppealPermission.SEE_SENSITIVE}
    left = permissions_of(Role.HEAD) - lost
    monkeypatch.setattr(Actor, "may", lambda _, permission: permission in left)
    assert await existing(head, new, **{"f.applicant.name": "Сейтова"}) == []


async def test_a_search_is_saved_by_name_for_who_saved_it(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    token = await form_token(head, "/search?q=Сейтова")
    address = "/search/views?q=Сейтова&stage=contact&since=2026-01-01&until=2099-12-31"
    for wrong in ("", "x" * 61):
        refused = await head.post(address, data={"form_token": token, "name": wrong})
        assert refused.status_code == 400
    for _ in range(2):  # again: in its place
        stored = await head.post(address, data={"form_token": token, "name": "Моё дело"})
        assert stored.status_code == 303
    page = (await head.get("/search")).text
    [query] = re.findall(r'href="/search\?([^"]+)">Моё дело', page)
    found = await head.get("/search?" + query.replace("&amp;", "&"))
    assert call.number in found.text
    [(sealed,)] = await rows(engine, "SELECT sealed FROM saved_view")
    assert "Сейтова".encode() not in bytes(sealed)
    assert b"%D0" not in bytes(sealed)
    [(identity,)] = await rows(engine, "SELECT id FROM saved_view")
    async with enter(Role.CONSULTANT) as other:
        assert "Моё дело" not in (await other.get("/search")).text
        theirs = await form_token(other, "/search")
        await other.post(f"/search/views/{identity}/drop", data={"form_token": theirs})
    assert "Моё дело" in (await head.get("/search")).text
    await head.post(f"/search/views/{identity}/drop", data={"form_token": token})
    assert "Моё дело" not in (await head.get("/search")).text


async def test_a_saved_search_is_listed_and_dropped_by_its_owner(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    await authorized(head)
    await send(head, call.number, version=0, **WHOLE)
    at, key = "/api/v1/search/views", {"Idempotency-Key": "one"}
    requested = {"q": "Сейтова", "stage": "contact"}
    refused: list[tuple[dict[str, str], str]] = [({}, "x"), (requested, ""), (requested, "x" * 61)]
    for params, name in refused:
        assert (await head.post(at, params=params, json={"name": name})).status_code == 400
    made = await head.post(at, params=requested, json={"name": "Моё"}, headers=key)
    assert made.status_code == 201
    again = await head.post(at, params=requested, json={"name": "Моё"}, headers=key)
    assert again.json() == made.json()
    other = await head.post(at, params={"q": "Иванов"}, json={"name": "Моё"}, headers=key)
    assert other.status_code == 422  # another search is another request
    [view] = (await head.get(at)).json()
    assert (view["id"], view["name"]) == (made.json()["id"], "Моё")
    found = (await head.get(f"/api/v1/search?{view['query']}")).json()
    assert [each["number"] for each in found["appeals"]] == [call.number]
    async with enter(Role.CONSULTANT) as client:
        await authorized(client)
        assert (await client.get(at)).json() == []
        assert (await client.delete(f"{at}/{view['id']}")).status_code == 204
    assert len((await head.get(at)).json()) == 1
    replaced = await head.post(at, params={"q": "Иванов"}, json={"name": "Моё"})
    [view] = (await head.get(at)).json()
    assert (view["id"], view["query"]) == (replaced.json()["id"], "q=" + quote("Иванов"))
    assert (await head.delete(f"{at}/{view['id']}")).status_code == 204
    assert (await head.get(at)).json() == []


async def test_a_person_keeps_so_many_searches_and_no_more(
    head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await authorized(head)
    for number in range(saved_searches.COUNT_LIMIT):
        stored = await keep(head, f"view {number}")
        assert stored.status_code == 201
    assert (await keep(head, "one more")).status_code == 400
    assert (await keep(head, "view 0")).status_code == 201  # in its place
    assert await rows(engine, "SELECT count(*) FROM saved_view") == [(saved_searches.COUNT_LIMIT,)]


async def keep(client: httpx.AsyncClient, name: str) -> httpx.Response:
    return await client.post("/api/v1/search/views", params={"q": "a"}, json={"name": name})
