"""Administrators and the people who sign in: added, changed, shut out, and never deleted."""

import asyncio
import re

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.tables import audit_entry
from callcenter.people import managing
from callcenter.people.managing import By, LastAdministrator, Own
from callcenter.storage.engine import unit_of_work
from callcenter.web import factors, store
from callcenter.web.permissions import Role
from tests.web.browser import form_token, sign_in, visible
from tests.web.conftest import PASSWORD, Call, Enter, add_user, browse

KEY = re.compile(r'<code class="key">([^<]+)</code>')
BY = By("user:boss", "web", "127.0.0.1")


async def send(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(path, data={"form_token": token, **values})


async def actions(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(select(audit_entry.c.action).order_by(audit_entry.c.id))
        return list(rows.scalars())


async def test_somebody_is_added_with_a_password_that_is_shown_once(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        made = await send(admin, "/users", name=" Dana ", role="senior")
        password = KEY.search(made.text)
        assert password is not None
        for name in ("dana", "Ж", "x"):
            again = await send(admin, "/users", name=name, role="head")
            assert again.status_code == 400
        assert "dana" in visible((await admin.get("/users")).text)
        assert password[1] not in (await admin.get("/users/dana")).text
    async with browse(app) as client:
        assert (await sign_in(client, "dana", password[1])).status_code == 303
        assert (await client.get("/appeals")).status_code == 200
    assert "web:user:added" in await actions(engine)


async def test_who_is_changed_is_signed_out_at_once(
    app: FastAPI, engine: AsyncEngine, enter: Enter, call: Call
) -> None:
    await add_user(engine, "dana", Role.SENIOR)
    async with enter(Role.ADMINISTRATOR) as admin, browse(app) as dana:
        for path, values in (
            ("role", {"role": "consultant"}),
            ("consultant", {"extension": "2001"}),
            ("signature", {"full_name": "Оспанова Д.", "position": "кеңесші"}),
            ("disable", {}),
        ):
            await sign_in(dana, "dana", PASSWORD)
            assert (await dana.get("/appeals")).status_code == 200
            assert (await send(admin, f"/users/dana/{path}", **values)).status_code == 303
            assert (await dana.get("/appeals")).status_code == 303, path
        assert (await sign_in(dana, "dana", PASSWORD)).status_code == 401
        page = (await admin.get("/users/dana")).text
        assert "2001" in page
        assert "Оспанова Д." in page
        assert (await send(admin, "/users/dana/enable")).status_code == 303
        made = KEY.search((await send(admin, "/users/dana/password")).text)
        assert made is not None
        assert (await sign_in(dana, "dana", PASSWORD)).status_code == 401
        assert (await sign_in(dana, "dana", made[1])).status_code == 303
        none = await send(admin, "/users/dana/second-factor")
        assert none.status_code == 400  # there is none
        async with unit_of_work(engine) as connection:
            user = await store.find_user(connection, "dana")
            assert user is not None
            await factors.add(connection, user_id=user.id, secret=b"x", step=1, codes=["a"])
        assert (await send(admin, "/users/dana/second-factor")).status_code == 303
    done = [action for action in await actions(engine) if ":session:" not in action]
    assert done == [
        "web:user:role_given",
        "web:user:linked",
        "web:user:signs",
        "web:user:disabled",
        "web:user:enabled",
        "web:user:password_set",
        "web:second_factor:reset",
    ]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("consultant", {"extension": "9999"}),
        ("signature", {"full_name": "", "position": "x"}),
        ("signature", {"full_name": "x" * 150, "position": "x"}),
        ("role", {"role": "boss"}),
        ("identity", {"subject": "x" * 300}),
    ],
)
async def test_what_is_wrong_is_said_and_changes_nothing(
    engine: AsyncEngine, enter: Enter, path: str, values: dict[str, str]
) -> None:
    await add_user(engine, "dana", Role.SENIOR)
    async with enter(Role.ADMINISTRATOR) as admin:
        assert (await send(admin, f"/users/dana/{path}", **values)).status_code == 400
        for nobody in ("nobody", "x'--", "Ж"):
            assert (await admin.get(f"/users/{nobody}")).status_code == 404
            assert (await send(admin, f"/users/{nobody}/enable")).status_code == 404
        assert (await send(admin, "/users/dana/delete")).status_code == 404
    assert not [action for action in await actions(engine) if "user:" in action]


async def test_nobody_changes_the_own_role_or_shuts_the_last_administrator_out(
    engine: AsyncEngine,
) -> None:
    await add_user(engine, "boss", Role.ADMINISTRATOR)
    command = By("system:root", "command")
    async with unit_of_work(engine) as connection:
        for wanted, by in ((Own, BY), (LastAdministrator, command)):
            with pytest.raises(wanted):
                await managing.set_active(connection, by, "boss", active=False)
            with pytest.raises(wanted):
                await managing.give_role(connection, by, "boss", Role.HEAD)
        await managing.give_role(connection, command, "boss", Role.ADMINISTRATOR)


async def test_two_who_shut_each_other_out_at_once_leave_one(engine: AsyncEngine) -> None:
    for name in ("one", "two"):
        await add_user(engine, name, Role.ADMINISTRATOR)

    async def shut_out(name: str, by: str) -> None:
        async with unit_of_work(engine) as connection:
            await managing.set_active(connection, By(f"user:{by}", "web"), name, active=False)

    done = await asyncio.gather(
        shut_out("one", "two"), shut_out("two", "one"), return_exceptions=True
    )
    assert sorted(map(type, done), key=str) == sorted([LastAdministrator, type(None)], key=str)


async def test_everybody_chooses_the_own_password_who_knows_the_old_one(
    app: FastAPI, engine: AsyncEngine
) -> None:
    await add_user(engine, "dana", Role.SENIOR)
    new = "another horse battery"
    async with browse(app) as dana, browse(app) as elsewhere:
        await sign_in(elsewhere, "dana", PASSWORD)
        await sign_in(dana, "dana", PASSWORD)
        for old, typed, again, status in (
            ("wrong", new, new, 400),
            (PASSWORD, new, "otherwise", 400),
            (PASSWORD, "short", "short", 400),
            (PASSWORD, PASSWORD, PASSWORD, 400),
            (PASSWORD, new, new, 303),
        ):
            answer = await send(dana, "/password", old=old, new=typed, again=again)
            assert answer.status_code == status, typed
        assert (await dana.get("/appeals")).status_code == 200
        assert (await elsewhere.get("/appeals")).status_code == 303
        assert (await sign_in(elsewhere, "dana", PASSWORD)).status_code == 401
        assert (await sign_in(elsewhere, "dana", new)).status_code == 303
    assert "web:user:own_password_set" in await actions(engine)


async def test_the_old_password_is_not_guessed_in_a_session_that_was_left_open(
    app: FastAPI, engine: AsyncEngine
) -> None:
    await add_user(engine, "dana", Role.SENIOR)
    async with browse(app) as dana:
        await sign_in(dana, "dana", PASSWORD)
        typed = {"new": "another horse battery", "again": "another horse battery"}
        answers = [
            (await send(dana, "/password", old=f"guess {n}", **typed)).status_code
            for n in range(store.TRIES_OF_NAME + 1)
        ]
        assert answers == [400] * store.TRIES_OF_NAME + [429]
        assert (await send(dana, "/password", old=PASSWORD, **typed)).status_code == 429


def test_all_that_is_changed_has_its_action_on_the_pages_and_by_the_command() -> None:
    on_pages = {action.value for action in Action if action.name.endswith("_ON_PAGE")}
    by_command = {action.value.replace("command:", "web:") for action in Action}
    assert on_pages
    assert on_pages <= by_command
