"""Invitations: a link, good once, by which somebody chooses a password."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import invitations, store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.invitations_store import INVITATION_TIMEOUT
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import LIMITS, Scope
from callcenter.platform.identity.tables import invitation
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import service
from tests.web.browser import sign_in, visible
from tests.web.conftest import PASSWORD, PASSWORD_HASH, add_user, browse
from tests.web.invited import CHOSEN, choose

BY = Actor.of_command()


async def invited(engine: AsyncEngine, name: str = "dana") -> str:
    """The path of a new invitation of a user."""
    async with unit_of_work(engine) as connection:
        token, _ = await service.invite(connection, BY, name)
    return f"/invitations/{token}"


async def first_administrator(engine: AsyncEngine) -> str | None:
    async with unit_of_work(engine) as connection:
        token = await invitations.invite_first_administrator(connection)
    return None if token is None else f"/invitations/{token}"


async def age(engine: AsyncEngine, by: timedelta) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(update(invitation).values(created_at=invitation.c.created_at - by))


async def test_a_link_is_good_once(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    async with browse(app) as client:
        for _ in range(2):  # looking uses nothing up
            assert "dana" in visible((await client.get(link)).text)
        assert (await sign_in(client, "dana", PASSWORD)).status_code == 401
        assert (await choose(client, link)).status_code == 303
        assert (await client.get("/search")).status_code == 200
    async with browse(app) as other:
        assert (await other.get(link)).status_code == 404
        assert (await choose(other, link, "another password")).status_code == 404
        assert (await sign_in(other, "dana", CHOSEN)).status_code == 303


async def test_of_two_at_once_one_chooses(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    async with browse(app) as one, browse(app) as other:
        tried = await asyncio.gather(
            choose(one, link, "password of the one"), choose(other, link, "password of another")
        )
    assert sorted(each.status_code for each in tried) == [303, 404]


async def test_a_wrong_try_leaves_the_link_good(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    async with browse(app) as client:
        for fields in (("short", None), (CHOSEN, "another"), ("x" * 257, None)):
            refused = await choose(client, link, *fields)
            assert refused.status_code == 400
            assert 'aria-invalid="true"' in refused.text
        assert (await choose(client, link)).status_code == 303


@pytest.mark.parametrize("token", ["x", "ж" * 43, "a" * 2000, "..%2f..", "%00"])
async def test_what_is_no_link_is_answered_clearly(app: FastAPI, token: str) -> None:
    async with browse(app) as client:
        answer = await client.get(f"/invitations/{token}")
        assert answer.status_code == 404
        assert (await choose(client, f"/invitations/{token}")).status_code == 404


async def test_a_wrong_link_hashes_nothing_and_counts_as_try(
    app: FastAPI, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    async def note(_: Passwords, password: str) -> str:
        hashed.append(password)
        return PASSWORD_HASH

    monkeypatch.setattr(Passwords, "hash", note)
    monkeypatch.setitem(LIMITS, Scope.ADDRESS, 2)
    await add_user(engine, "dana", Role.CONSULTANT)
    async with browse(app) as client:
        tried = [(await choose(client, "/invitations/x")).status_code for _ in range(4)]
        assert tried == [404, 404, 429, 429]
        assert hashed == []
        assert (await choose(client, await invited(engine))).status_code == 303
    assert hashed == [CHOSEN]


async def test_a_link_ends_after_three_days(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    await age(engine, INVITATION_TIMEOUT + timedelta(seconds=1))
    async with browse(app) as client:
        assert (await choose(client, link)).status_code == 404
    await invited(engine)  # the next one clears it away
    async with unit_of_work(engine) as connection:
        assert len((await connection.execute(select(invitation))).all()) == 1


async def test_another_link_replaces_the_first(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    first, second = await invited(engine), await invited(engine)
    async with browse(app) as client:
        assert (await choose(client, first)).status_code == 404
        assert (await choose(client, second)).status_code == 303


async def test_a_password_that_is_set_ends_the_link(app: FastAPI, engine: AsyncEngine) -> None:
    user = await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    async with unit_of_work(engine) as connection:
        await store.set_password(connection, name="dana", password_hash=user.password_hash)
    async with browse(app) as client:
        assert (await choose(client, link)).status_code == 404
        assert (await sign_in(client, "dana", PASSWORD)).status_code == 303


async def test_a_link_lets_nobody_in_who_was_shut_out(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    link = await invited(engine)
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, name="dana", active=False)
    async with browse(app) as client:
        assert (await client.get(link)).status_code == 404
        assert (await choose(client, link)).status_code == 404


async def test_a_demanded_second_factor_is_set_up_first(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "dana", Role.HEAD)
    link = await invited(engine)
    async with browse(app) as client:
        chosen = await choose(client, link)
        assert chosen.headers["location"].startswith("/second-factor")
        assert (await client.get("/search")).status_code == 303  # not yet


async def test_the_first_administrator_comes_by_a_link(app: FastAPI, engine: AsyncEngine) -> None:
    replaced, link = await first_administrator(engine), await first_administrator(engine)
    assert replaced is not None
    assert link is not None
    async with browse(app) as client:
        assert (await choose(client, replaced, name="boss")).status_code == 404
        for name in ("", "Ж", "x" * 41):
            assert (await choose(client, link, name=name)).status_code == 400
        chosen = await choose(client, link, name=" Boss ")
        assert chosen.status_code == 303
    async with unit_of_work(engine) as connection:
        assert (await store.get_user(connection, "boss")).role is Role.ADMINISTRATOR
    assert await first_administrator(engine) is None


async def test_no_first_administrator_comes_beside_another(
    app: FastAPI, engine: AsyncEngine
) -> None:
    link = await first_administrator(engine)
    assert link is not None
    await add_user(engine, "boss", Role.ADMINISTRATOR)
    async with browse(app) as client:
        assert (await client.get(link)).status_code == 404
        assert (await choose(client, link, name="other")).status_code == 404


def test_a_link_has_the_address_that_browsers_use(settings: Settings) -> None:
    own = settings.model_copy(update={"public_url": None})
    assert invitations.link_of(own, "t").startswith("http://127.0.0.1:")
    public = settings.model_copy(update={"public_url": "https://111.example.kz"})
    assert invitations.link_of(public, "t") == "https://111.example.kz/invitations/t"
