"""Administrators and the people who sign in: added, changed, shut out, and never deleted."""

import asyncio
import re
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity import second_factor_store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.platform.identity.sign_in_attempts import LIMITS, Scope
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import service
from callcenter.users.actions import AccountAction
from callcenter.users.service import CannotChangeOwnAccount, LastAdministrator
from tests.web.browser import form_token, sign_in, visible
from tests.web.conftest import PASSWORD, Call, Enter, add_user, browse
from tests.web.invited import choose, link_in

SIGNS = {"full_name": "Оспанова Д.", "position": "кеңесші"}
DECISION = re.compile(r'action="(/users/dana/second-factor/[^"]+/decision)"')
OPTION = re.compile(r'<option value="([^"]+)"')


def person(name: str) -> Actor:
    """An administrator who is signed in."""
    user = User(uuid4(), name, "-", Role.ADMINISTRATOR, True, datetime(2026, 1, 1, tzinfo=UTC))
    return Actor(user, "127.0.0.1")


BY = person("boss")


async def send(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(path, data={"form_token": token, **values})


def roles_in(page: str) -> list[str]:
    return OPTION.findall(page.partition('id="role"')[2].partition("</select>")[0])


async def actions(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(select(audit_entry.c.action).order_by(audit_entry.c.id))
        return list(rows.scalars())


async def test_somebody_is_added_by_a_link_that_is_shown_once(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        made = await send(admin, "/users", name=" Dana ", role="consultant", **SIGNS)
        link = link_in(made)
        for name in ("dana", "Ж", "x"):
            again = await send(admin, "/users", name=name, role="head", **SIGNS)
            assert again.status_code == 400
        assert "dana" in visible((await admin.get("/users")).text)
        assert link not in (await admin.get("/users/dana")).text
    async with browse(app) as client:
        assert (await choose(client, link)).status_code == 303
        assert (await client.get("/search")).status_code == 200
    assert "web:user:added" in await actions(engine)


async def test_who_is_changed_is_signed_out_at_once(
    app: FastAPI, engine: AsyncEngine, enter: Enter, call: Call
) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    async with enter(Role.ADMINISTRATOR) as admin, browse(app) as dana:
        for path, values in (
            ("person", SIGNS),
            ("person", {**SIGNS, "extension": "2001", "speaks_kk": "1"}),
            ("person", {"full_name": "Оспанова А.", "position": "заңгер"}),
            ("disable", {}),
        ):
            await sign_in(dana, "dana", PASSWORD)
            assert (await dana.get("/search")).status_code == 200
            assert (await send(admin, f"/users/dana/{path}", **values)).status_code == 303
            assert (await dana.get("/search")).status_code == 303, path
        assert (await sign_in(dana, "dana", PASSWORD)).status_code == 401
        page = (await admin.get("/users/dana")).text
        assert "Оспанова А." in page
        assert (await send(admin, "/users/dana/enable")).status_code == 303
        link = link_in(await send(admin, "/users/dana/password"))
        assert (await sign_in(dana, "dana", PASSWORD)).status_code == 401
        assert (await choose(dana, link)).status_code == 303
    quiet = ("web:session:", "web:numbers:")
    done = [action for action in await actions(engine) if not action.startswith(quiet)]
    assert done == [
        "web:user:signs",
        "web:user:linked",
        "web:consultant:renamed",
        "web:consultant:changed",
        "web:consultant:telephone_set",
        "web:user:signs",
        "web:user:linked",
        "web:user:disabled",
        "web:user:enabled",
        "web:user:invited",
        "web:user:invitation_accepted",
    ]


async def test_two_administrators_reset_a_second_factor(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    user = await add_user(engine, "dana", Role.SENIOR)
    reset, lost = "/users/dana/second-factor", {"reason": "Телефон потерян"}
    async with enter(Role.ADMINISTRATOR) as admin, enter(Role.ADMINISTRATOR) as other:
        none = await send(admin, reset, **lost)
        assert none.status_code == 400  # there is none
        async with unit_of_work(engine) as connection:
            await second_factor_store.add(
                connection, user_id=user.id, secret=b"x", step=1, codes=["a"]
            )
        assert (await send(admin, reset)).status_code == 400  # a reason is needed
        assert (await send(admin, reset, **lost)).status_code == 303
        assert (await send(other, reset, **lost)).status_code == 400  # it waits already
        for approve, state in (("false", True), ("true", False)):
            page = (await other.get("/users/dana")).text
            assert "Телефон потерян" in page
            decision = DECISION.search(page)
            assert decision is not None
            own = await send(admin, decision[1], approve="true", **lost)
            assert own.status_code == 400
            assert await has_factor(engine) is True
            decided = await send(other, decision[1], approve=approve, reason="Видела паспорт")
            assert decided.status_code == 303
            assert await has_factor(engine) is state
            if state:
                assert (await send(admin, reset, **lost)).status_code == 303
    assert [action for action in await actions(engine) if "second_factor" in action] == [
        "web:second_factor:reset_asked",
        "web:second_factor:reset_refused",
        "web:second_factor:reset_asked",
        "web:second_factor:reset",
    ]


async def has_factor(engine: AsyncEngine) -> bool:
    async with unit_of_work(engine) as connection:
        return await second_factor_store.has_one(connection, "dana")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("person", {**SIGNS, "extension": "99", "speaks_kk": "1"}),
        ("person", {"full_name": "", "position": "x"}),
        ("person", {"full_name": "x" * 150, "position": "x"}),
        ("person", {"role": "boss"}),
        ("person", {"role": "knowledge_editor"}),
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


async def test_empty_roles_exist_but_are_not_given(engine: AsyncEngine, enter: Enter) -> None:
    idle = {Role.KNOWLEDGE_EDITOR, Role.STATE_BODY}
    assert set(Role) - set(assignable_roles()) == idle
    await add_user(engine, "dana", Role.STATE_BODY)
    async with enter(Role.ADMINISTRATOR) as admin:
        everyone = (await admin.get("/users")).text
        page = (await admin.get("/users/dana")).text
        stored = await send(admin, "/users/dana/person", role="state_body")
        for role in idle:
            made = await send(admin, "/users", name="arman", role=role.value, **SIGNS)
            assert made.status_code == 400
    assert roles_in(everyone) == list(assignable_roles())
    assert sorted(roles_in(page)) == sorted([Role.STATE_BODY, *assignable_roles()])
    assert stored.status_code == 400
    assert not [action for action in await actions(engine) if "user:" in action]


async def test_nobody_changes_the_own_role_or_the_last_administrator(
    engine: AsyncEngine,
) -> None:
    await add_user(engine, "boss", Role.ADMINISTRATOR)
    command = Actor(None, command="root")
    async with unit_of_work(engine) as connection:
        for expected, by in ((CannotChangeOwnAccount, BY), (LastAdministrator, command)):
            with pytest.raises(expected):
                await service.set_active(connection, by, "boss", active=False)
            with pytest.raises(expected):
                await service.give_role(connection, by, "boss", Role.HEAD)
        await service.give_role(connection, command, "boss", Role.ADMINISTRATOR)


async def test_two_who_shut_each_other_out_at_once_leave_one(engine: AsyncEngine) -> None:
    for name in ("one", "two"):
        await add_user(engine, name, Role.ADMINISTRATOR)

    async def shut_out(name: str, by: str) -> None:
        async with unit_of_work(engine) as connection:
            await service.set_active(connection, person(by), name, active=False)

    done = await asyncio.gather(
        shut_out("one", "two"), shut_out("two", "one"), return_exceptions=True
    )
    assert sorted(map(type, done), key=str) == sorted([LastAdministrator, type(None)], key=str)


async def test_everybody_chooses_the_own_password_who_knows_the_old_one(
    app: FastAPI, engine: AsyncEngine
) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
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
        assert (await dana.get("/search")).status_code == 200
        assert (await elsewhere.get("/search")).status_code == 303
        assert (await sign_in(elsewhere, "dana", PASSWORD)).status_code == 401
        assert (await sign_in(elsewhere, "dana", new)).status_code == 303
    assert "web:user:own_password_set" in await actions(engine)


async def test_the_old_password_is_not_guessed_in_an_open_session(
    app: FastAPI, engine: AsyncEngine
) -> None:
    await add_user(engine, "dana", Role.CONSULTANT)
    async with browse(app) as dana:
        await sign_in(dana, "dana", PASSWORD)
        typed = {"new": "another horse battery", "again": "another horse battery"}
        limit = LIMITS[Scope.DEVICE] + LIMITS[Scope.NETWORK]
        answers = [
            (await send(dana, "/password", old=f"guess {n}", **typed)).status_code
            for n in range(limit + 1)
        ]
        assert answers == [400] * limit + [429]
        assert (await send(dana, "/password", old=PASSWORD, **typed)).status_code == 429


def test_every_change_of_users_has_its_audit_action() -> None:
    on_pages = {action.value for action in AccountAction if action.name.endswith("_ON_PAGE")}
    by_command = {action.value.replace("command:", "web:") for action in AccountAction}
    assert on_pages
    assert on_pages <= by_command
