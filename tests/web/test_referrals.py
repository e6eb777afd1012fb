"""A competent body is named to the caller in their language, on the record (R16)."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.bodies.queries import view_directory
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_bodies import POLICE, find, send
from tests.web.test_competence import ASTANA
from tests.web.test_records import WHOLE, rows
from tests.web.test_records import send as send_record


async def answers(client: httpx.AsyncClient, number: str, **matter: Any) -> str:
    """What the panel gets for this topic and place."""
    query = {"number": number, "language": "ru"} | {
        f"f.{name}" if name != "q" else name: value for name, value in matter.items()
    }
    answer = await client.get("/competence/answers", params=query)
    assert answer.status_code == 200
    return answer.text


async def refer(
    client: httpx.AsyncClient, number: str, body: str, contact: object = ""
) -> httpx.Response:
    token = await form_token(client, f"/appeals/{number}")
    data = {"form_token": token, "body": body, "contact": str(contact)}
    return await client.post(f"/appeals/{number}/referrals", data=data)


async def test_a_consultant_names_the_competent_body_in_the_callers_language(
    engine: AsyncEngine, head: httpx.AsyncClient, enter: Enter, call: Call
) -> None:
    await send(head, "/new-body", **POLICE)
    [number, duty] = (await find(engine, "police_71")).contacts
    said = "Управление полиции: +7 7172 71 61 00 (круглосуточно)"
    async with enter(Role.CONSULTANT) as consultant:
        consultant.headers["accept-language"] = "en"
        found = await answers(
            consultant, call.number, topics="violence_physical", region=ASTANA, district=""
        )
        assert f'<q lang="ru">{said}</q>' in found
        assert "Police department" in visible(found)
        assert "nobody has verified it" in visible(found)
        assert str(duty.id) not in found  # the duty number is for the center alone
        assert (await refer(consultant, call.number, "police_71", duty.id)).status_code == 400
        noted = await refer(consultant, call.number, "police_71", number.id)
        assert noted.headers["location"] == f"/appeals/{call.number}#bodies"
        page = visible((await consultant.get(f"/appeals/{call.number}")).text)
    assert f"Named to the caller: {said}" in page
    audited = await rows(
        engine, "SELECT subject, detail FROM audit_entry WHERE action = 'web:appeal:referred'"
    )
    detail = {"body": "police_71", "contact": str(number.id)}
    assert audited == [(f"appeal:{call.number}", detail)]
    # A body that is renamed afterwards was still named so.
    names = "2026-11-25 | Басқарма | Иное управление | Other"
    await send(head, "/bodies/police_71", **POLICE | {"version": "1", "names": names})
    assert said in (await head.get(f"/appeals/{call.number}")).text


async def test_a_kazakh_caller_hears_the_kazakh_name_without_a_contact(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await appeals.set_language(connection, appeal_id=call.id, language="kk")
    assert (await refer(head, call.number, "transport")).status_code == 303
    assert await rows(engine, "SELECT said FROM body_referral") == [("Көлік министрлігі",)]


async def test_no_link_has_the_panel_send_elsewhere(head: httpx.AsyncClient) -> None:
    query = {"number": "../users?", "f.topics": "violence"}
    assert (await head.get("/competence/answers", params=query)).status_code in (400, 422)


async def test_a_body_is_found_by_typing(head: httpx.AsyncClient, call: Call) -> None:
    head.headers["accept-language"] = "en"
    found = await answers(head, call.number, q="внутренних", topics="bullying", region=ASTANA)
    assert '<q lang="ru">Министерство внутренних дел: 102</q>' in found
    assert "Department" not in visible(found)  # what was typed goes before the topic
    assert "No body of the directory fits." in visible(await answers(head, call.number, q="zzz"))


async def test_a_district_is_meant_by_its_name_too(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    form = (await view_directory(engine)).form
    district = next(each for each in form.options("district") if each.parent == ASTANA)
    values = POLICE | {
        "code": "police_here",
        "district": district.code,
        "contacts": "telephone | 1414",
    }
    assert (await send(head, "/new-body", **values)).status_code == 303
    there = await answers(head, call.number, topics="violence", region=ASTANA, district=district.ru)
    assert "Управление полиции: 1414" in there
    assert "102" in await answers(head, call.number, topics="violence", region=ASTANA)


@pytest.mark.parametrize(("body", "contact"), [("nobody", ""), ("transport", "x")])
async def test_what_is_not_in_the_directory_is_named_to_nobody(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call, body: str, contact: str
) -> None:
    assert (await refer(head, call.number, body, contact)).status_code == 400
    assert await rows(engine, "SELECT 1 FROM body_referral") == []
    assert (await send(head, "/appeals/2600000001/referrals", body="transport")).status_code == 404


async def test_a_failed_contact_is_given_to_no_caller(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    [contact] = (await find(engine, "internal_affairs")).contacts
    await send(
        head, f"/bodies/internal_affairs/contacts/{contact.id}/failure", failure="wrong number"
    )
    found = await answers(head, call.number, topics="violence", region=ASTANA)
    assert str(contact.id) not in found
    assert (await refer(head, call.number, "internal_affairs", contact.id)).status_code == 400


async def test_a_referral_moves_with_its_appeal(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    for number in (call.number, again):
        saved = await send_record(head, number, version=0, **WHOLE | {"kind": "complaint"})
        assert saved.status_code == 303
    await refer(head, again, "transport")
    joined = await send_record(head, again, "join", version=1, into=call.number, reason="Об одном")
    assert joined.status_code == 303
    moved = re.compile("Named to the caller|Қоңырау шалушыға айтылды:")
    assert moved.search((await head.get(f"/appeals/{call.number}")).text)
    assert not moved.search((await head.get(f"/appeals/{again}")).text)
