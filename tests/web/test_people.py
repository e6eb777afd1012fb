"""A person is one form: account, signature, extension, languages, skills, team and telephone."""

import re

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store as consultants
from callcenter.consultants.accounts import digest_of
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import store
from tests.web.conftest import Enter, browse
from tests.web.invited import choose, link_in
from tests.web.test_users import actions, send

PERSON = {
    "role": "consultant",
    "full_name": "Оспанова Д.",
    "position": "кеңесші",
    "extension": "214",
    "speaks_kk": "1",
    "speaks_ru": "1",
    "level_lawyer": "3",
    "team": " Түнгі  ауысым ",
    "telephone": "browser",
}
SECRET = re.compile(r'id="softphone-password">([a-z0-9]{20})<')


async def consultant_of(engine: AsyncEngine, name: str) -> consultants.Consultant:
    async with unit_of_work(engine) as connection:
        extension = (await store.find(connection, name)).extension
        assert extension is not None
        return await consultants.find(connection, extension)


async def test_one_form_makes_a_consultant_who_can_work(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        made = await send(admin, "/users", name="dana", **PERSON)
    dana = await consultant_of(engine, "dana")
    assert (dana.extension, dana.name, dana.team) == ("214", "Оспанова Д.", "Түнгі ауысым")
    assert (dana.languages, dana.skills, dana.in_browser) == (("kk", "ru"), {"lawyer": 3}, True)
    assert SECRET.search(made.text) is None
    async with browse(app) as client:
        await choose(client, link_in(made))
        assert (await client.get("/workspace")).status_code == 200
    assert [each for each in await actions(engine) if "session" not in each] == [
        "web:user:added",
        "web:user:signs",
        "web:consultant:added",
        "web:user:linked",
        "web:consultant:changed",
        "web:consultant:telephone_set",
        "web:user:invited",
        "web:user:invitation_accepted",
    ]


async def test_nothing_is_written_where_nothing_differs(engine: AsyncEngine, enter: Enter) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        await send(admin, "/users", name="dana", **PERSON)
        before = await actions(engine)
        assert (await send(admin, "/users/dana/person", **PERSON)).status_code == 303
    assert await actions(engine) == before


async def test_a_softphones_password_is_shown_once(engine: AsyncEngine, enter: Enter) -> None:
    async def is_shown(answer: httpx.Response) -> None:
        shown = SECRET.search(answer.text)
        assert shown is not None
        dana = await consultant_of(engine, "dana")
        assert dana.digest == digest_of("214", shown[1])

    async with enter(Role.ADMINISTRATOR) as admin:
        await send(admin, "/users", name="dana", **PERSON)
        softphone = {**PERSON, "telephone": "softphone"}
        await is_shown(await send(admin, "/users/dana/person", **softphone))
        assert (await send(admin, "/users/dana/person", **softphone)).status_code == 303
        await is_shown(await send(admin, "/users/dana/softphone"))
        assert SECRET.search((await admin.get("/users/dana")).text) is None
        await send(admin, "/users", name="arman", **{**softphone, "extension": "215"})
        assert (await send(admin, "/users/nobody/softphone")).status_code == 404


async def test_who_takes_no_calls_any_more_is_no_consultant(
    engine: AsyncEngine, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        await send(admin, "/users", name="dana", **PERSON)
        before = await consultant_of(engine, "dana")
        await send(admin, "/users/dana/person", **{**PERSON, "extension": "", "role": "head"})
    async with unit_of_work(engine) as connection:
        assert (await store.find(connection, "dana")).extension is None
        left = await consultants.find(connection, "214")
    assert left.digest != before.digest  # nobody has its secret


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("full_name", {"full_name": " "}),
        ("full_name", {"position": "x" * 101}),
        ("extension", {"extension": "12"}),
        ("extension", {"extension": "1414"}),
        ("extension", {"extension": "111"}),
        ("extension", {"extension": "213"}),  # somebody else's
        ("extension", {"extension": "২১৪"}),
        ("languages", {"speaks_kk": "", "speaks_ru": ""}),
        ("team", {"team": "x" * 41}),
        ("name", {"name": "boss person"}),
        ("name", {"name": "aida"}),  # there is one
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(
    engine: AsyncEngine, enter: Enter, field: str, values: dict[str, str]
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        await send(admin, "/users", name="aida", **{**PERSON, "extension": "213"})
        before = await actions(engine)
        typed = {key: each for key, each in ({"name": "dana"} | PERSON | values).items() if each}
        refused = await send(admin, "/users", **typed)
        assert refused.status_code == 400
        marked = re.search(r'<input[^>]* id="(\w+)"[^>]* aria-invalid="true"', refused.text)
        assert marked is not None
        assert marked[1] == field
        assert f'value="{PERSON["position"]}"' in refused.text or "position" in values
    assert await actions(engine) == before
    async with unit_of_work(engine) as connection:
        assert len(await store.everyone(connection)) == 2


async def test_a_level_that_is_none_is_refused(engine: AsyncEngine, enter: Enter) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        for levels in ({"level_lawyer": "9"}, {"level_lawyer": "x"}, {"level_nothing": "1"}):
            refused = await send(admin, "/users", name="dana", **{**PERSON, **levels})
            assert refused.status_code == 400
            assert 'role="alert"' in refused.text
    async with unit_of_work(engine) as connection:
        assert len(await store.everyone(connection)) == 1
