"""The directory of state bodies on its pages: entered, renamed, verified, reported, found."""

import re
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bodies import store
from callcenter.bodies.queries import view_directory
from callcenter.bodies.rules.directory import Body, BodyKind, ContactState
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, visible
from tests.web.conftest import Enter
from tests.web.test_users import actions

TRANSPORT = "transport"
#: All that was found of telephone numbers of bodies, in public pages or by hearsay.
NUMBERS = {"101", "102", "103", "112", "115", "119", "1406", "1411", "1416", "1439"}
NAMES = "2026-11-24 | Полиция басқармасы | Управление полиции | Police department"
POLICE: dict[str, Any] = {
    "code": "police_71",
    "kind": "department",
    "parent": "akimat_71",
    "region": "710000000",
    "direction": ["order"],
    "topic": ["violence", "missing"],
    "names": NAMES,
    "contacts": "telephone | +7 7172 71 61 00 | kk,ru | 24/7 | polisia.kz\nduty | 102",
}


async def send(client: httpx.AsyncClient, path: str, **values: Any) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(path, data={"form_token": token, **values})


async def find(engine: AsyncEngine, code: str) -> Body:
    async with unit_of_work(engine) as connection:
        return (await store.read_directory(connection)).bodies[code]


async def listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    page = (await client.get("/bodies", params=query)).text
    return re.findall(r'data-row href="/bodies/(\w+)"', page)


async def test_what_came_with_the_version_is_whole_and_unverified(engine: AsyncEngine) -> None:
    view = await view_directory(engine)
    bodies = view.directory.bodies.values()
    regions = [each.code for each in view.form.options("region")]
    assert len(regions) == 20
    for kind, name in (("local", "akimat"), ("commissioner", "commissioner")):
        of_regions = [each for each in bodies if each.kind == kind and each.region]
        assert [each.region for each in of_regions] == regions
        assert {each.code for each in of_regions} == {f"{name}_{each[:2]}" for each in regions}
    assert {each for body in bodies for each in body.directions} == {
        each.code for each in view.form.options("direction")
    }
    contacts = [contact for body in bodies for contact in body.contacts]
    assert {contact.value for contact in contacts} == NUMBERS
    assert {contact.state(view.at) for contact in contacts} == {ContactState.UNVERIFIED}


async def test_a_body_is_entered_renamed_and_found(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    made = await send(head, "/new-body", **POLICE)
    assert (made.status_code, made.headers["location"]) == (303, "/bodies/police_71")
    names = f"2026-12-01 | Жаңа басқарма | Новое управление | New department\n{NAMES}"
    values = POLICE | {"names": names, "version": "1"}
    assert (await send(head, "/bodies/police_71", **values)).status_code == 303
    stored = await find(engine, "police_71")
    assert (stored.kind, stored.parent) == (BodyKind.DEPARTMENT, "akimat_71")
    assert [each.ru for each in stored.names] == ["Управление полиции", "Новое управление"]
    assert stored.topics == ("violence", "missing")
    assert [each.value for each in stored.contacts] == ["+7 7172 71 61 00", "102"]
    for typed in ("полиции управление", "New DEPARTMENT", "басқарма жаңа", "71 61 00"):
        assert await listed(head, q=typed) == ["police_71"]
    assert await listed(head, q="полиции", region="710000000", kind="department") == ["police_71"]
    assert await listed(head, q="полиции", region="750000000") == []
    saved = [each for each in await actions(engine) if each == "web:body:saved"]
    assert len(saved) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"code": "transport"}, "It is there twice"),
        ({"code": "Police"}, "small Latin letters"),
        ({"parent": "nobody"}, "The body above is none"),
        ({"names": "Police"}, "A name has a day"),
        ({"names": "yesterday | а | б | c"}, "A day is written"),
        ({"contacts": "fax | 1"}, "no way to reach"),
        ({"contacts": "email | noreply@gov.kz"}, "Nobody reads"),
        ({"contacts": "telephone | 102 | kk | daily"}, "Hours are"),
        ({"working_hours": "Mo-Fr 9-18"}, "Working hours are"),
    ],
)
async def test_a_wrong_body_is_explained_and_what_was_typed_stays(
    engine: AsyncEngine, head: httpx.AsyncClient, wrong: dict[str, str], words: str
) -> None:
    head.headers["accept-language"] = "en"
    refused = await send(head, "/new-body", **POLICE | wrong)
    assert refused.status_code == 400
    assert words in visible(refused.text)
    [typed] = wrong.values()
    if "code" in wrong:
        assert f'value="{typed}"' in refused.text
    assert len(re.findall(r'value="(?:violence|missing)" checked', refused.text)) == 2
    assert "web:body:saved" not in await actions(engine)


async def test_working_hours_are_entered_with_days_of_its_own(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    head.headers["accept-language"] = "en"
    await send(head, "/new-body", **POLICE)
    page = visible((await head.get("/bodies/police_71")).text)
    assert "Mon–Fri 09:00–13:00, 14:30–18:30 as most state bodies" in page
    hours = "Mo-Th 08:00-13:00,14:00-17:00; Fr 08:00-13:00"
    ahead = "2099-12-30 08:00-12:00; 2099-12-31 off"
    values = POLICE | {"version": "1", "working_hours": f"2020-01-01 off;{hours};{ahead}"}
    assert (await send(head, "/bodies/police_71", **values)).status_code == 303
    assert (await find(engine, "police_71")).working_hours == f"{hours}; 2020-01-01 off; {ahead}"
    page = visible((await head.get("/bodies/police_71")).text)
    assert "Fri 08:00–13:00; 30.12.2099: 08:00–12:00; 31.12.2099: closed" in page
    assert "01.01.2020" not in page


async def test_two_people_do_not_overwrite_each_other(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    await send(head, "/new-body", **POLICE)
    first = POLICE | {"version": "1", "contacts": "telephone | 1414"}
    assert (await send(head, "/bodies/police_71", **first)).status_code == 303
    refused = await send(head, "/bodies/police_71", **POLICE | {"version": "1"})
    assert refused.status_code == 412
    assert [each.value for each in (await find(engine, "police_71")).contacts] == ["1414"]


async def test_a_contact_is_verified_reported_and_verified_again(
    engine: AsyncEngine, head: httpx.AsyncClient, enter: Enter
) -> None:
    await send(head, "/new-body", **POLICE)

    async def states() -> list[str]:
        now = (await view_directory(engine)).at
        return [each.state(now).value for each in (await find(engine, "police_71")).contacts]

    [number, duty] = [each.id for each in (await find(engine, "police_71")).contacts]
    assert await states() == ["unverified", "unverified"]
    assert "police_71" in await listed(head, unverified="true")
    for contact in (number, duty):
        await send(head, f"/bodies/police_71/contacts/{contact}/verified")
    assert await states() == ["verified", "verified"]
    assert "police_71" not in await listed(head, unverified="true")
    async with enter(Role.CONSULTANT) as consultant:
        path = f"/bodies/police_71/contacts/{number}/failure"
        assert (await send(consultant, path, failure=" ")).status_code == 400
        assert await states() == ["verified", "verified"]
        assert (await send(consultant, path, failure="Неверный номер")).status_code == 303
        page = (await consultant.get("/bodies/police_71")).text
        assert "Неверный номер" in page
        assert "/verified" not in page  # a consultant does not vouch
    assert await states() == ["failed", "verified"]
    assert "police_71" in await listed(head, unverified="true")
    await send(head, f"/bodies/police_71/contacts/{number}/verified")
    assert await states() == ["verified", "verified"]
    assert (await send(head, f"/bodies/transport/contacts/{number}/verified")).status_code == 404
    log = [each for each in await actions(engine) if "contact" in each]
    assert log == [
        *["web:body:contact_verified"] * 2,
        "web:body:contact_failed",
        "web:body:contact_verified",
    ]


async def test_a_changed_contact_is_verified_anew_and_others_stay(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    await send(head, "/new-body", **POLICE)
    for contact in (await find(engine, "police_71")).contacts:
        await send(head, f"/bodies/police_71/contacts/{contact.id}/verified")
    changed = "duty | 102\ntelephone | +7 7172 71 61 01 | kk,ru | 24/7 | polisia.kz"
    await send(head, "/bodies/police_71", **POLICE | {"version": "1", "contacts": changed})
    contacts = (await find(engine, "police_71")).contacts
    assert [(each.value, each.verified_at is not None) for each in contacts] == [
        ("102", True),
        ("+7 7172 71 61 01", False),
    ]


async def test_an_ended_body_stays_and_says_so(head: httpx.AsyncClient) -> None:
    head.headers["accept-language"] = "en"
    await send(head, "/new-body", **POLICE)
    await send(head, "/bodies/police_71", **POLICE | {"version": "1", "ended_on": "2026-01-01"})
    assert "does not exist any more" in visible((await head.get("/bodies?q=police")).text)
    assert "It does not exist since 01.01.2026." in visible(
        (await head.get("/bodies/police_71")).text
    )
    assert "police_71" not in await listed(head, unverified="true")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_list_has_the_names_of_the_readers_language(enter: Enter, language: str) -> None:
    names = {
        "kk": "Көлік министрлігі",
        "ru": "Министерство транспорта",
        "en": "Ministry of Transport",
    }
    async with enter(Role.CONSULTANT) as consultant:
        consultant.headers["accept-language"] = language
        page = (await consultant.get("/bodies")).text
    assert [each for each, name in names.items() if name in page] == [language]
    assert "/new-body" not in page
    assert "/bodies-file" not in page
