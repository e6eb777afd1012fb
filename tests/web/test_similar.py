"""Searches kept by name, and what is known already while a record is being typed."""

import re
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.web.permissions import GRANTS, Permission, Role
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_records import IDENTIFIER, WHOLE, rows, send


async def known(client: httpx.AsyncClient, number: str, **typed: str) -> list[str]:
    answer = await send(client, number, "similar", version=0, **typed)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return re.findall(r'href="/appeals/(\d{10})/record"', answer.text)


async def test_earlier_appeals_of_a_person_and_similar_ones_are_told_while_typing(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, new = await open_call(engine, "call-2", datetime.now(UTC))
    await send(head, call.number, version=0, **WHOLE)
    assert await known(head, new, **{"f.applicant.name": "Seitova"}) == [call.number]
    assert await known(head, new, **{"f.applicant.identifier": IDENTIFIER}) == [call.number]
    assert await known(head, new, **{"f.content": "Бывший муж алименты не платит"}) == []
    assert await known(head, new, **{"f.content": "Не платит алименты"}) == [call.number]
    assert await known(head, new, **{"f.content": "Затопили соседи квартиру"}) == []
    assert await known(head, call.number, **{"f.applicant.name": "Сейтова"}) == []  # itself
    looks = await rows(engine, "SELECT count(*) FROM audit_entry WHERE detail->>'by' = 'typing'")
    assert looks == [(1,)]
    assert isinstance(GRANTS, dict)
    lost = {Permission.SEE_PERSONAL, Permission.SEE_SENSITIVE}
    monkeypatch.setitem(GRANTS, Role.HEAD, GRANTS[Role.HEAD] - lost)
    assert await known(head, new, **{"f.applicant.name": "Сейтова"}) == []


async def test_a_search_is_kept_by_name_for_who_kept_it(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    token = await form_token(head, "/search?q=Сейтова")
    address = "/search/views?q=Сейтова&stage=contact&since=2026-01-01&until=2099-12-31"
    for wrong in ("", "x" * 61):
        refused = await head.post(address, data={"form_token": token, "name": wrong})
        assert refused.status_code == 400
    for _ in range(2):  # again: in its place
        kept = await head.post(address, data={"form_token": token, "name": "Моё дело"})
        assert kept.status_code == 303
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
