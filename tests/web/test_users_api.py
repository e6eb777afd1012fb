"""People who sign in, administered by the API: the rules of the pages, and passwords told once."""

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity import second_factor_store
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import sign_in
from tests.web.conftest import PASSWORD, Call, Enter, add_user, browse
from tests.web.test_record_api import authorized
from tests.web.test_users import actions

AT = "/api/v1/users"
DANA = f"{AT}/dana"


async def test_a_new_users_password_is_shown_once_and_not_stored(
    app: FastAPI, engine: AsyncEngine, enter: Enter
) -> None:
    new = {"name": "dana", "role": "senior"}
    async with enter(Role.ADMINISTRATOR) as admin:
        await authorized(admin)
        made = await admin.post(AT, json=new, headers={"Idempotency-Key": "one"})
        assert made.status_code == 201
        assert made.headers["cache-control"] == "no-store"
        assert made.headers["location"] == DANA
        first = made.json()["password"]
        again = await admin.post(AT, json=new, headers={"Idempotency-Key": "one"})
        assert again.status_code == 400  # there is one of this name: and no answer was kept
        for wrong in ("Dana", "Ж", "x", "x\0y", "x" * 41):
            assert (await admin.post(AT, json=new | {"name": wrong})).status_code == 400
        assert (await admin.post(AT, json=new | {"role": "boss"})).status_code == 400
        changed = await admin.post(f"{DANA}/password")
        assert changed.headers["cache-control"] == "no-store"
        second = changed.json()["password"]
        read = (await admin.get(DANA)).text
    async with browse(app) as client:
        assert (await sign_in(client, "dana", first)).status_code == 401
        assert (await sign_in(client, "dana", second)).status_code == 303
    assert (await actions(engine))[:2] == ["web:user:added", "web:user:password_set"]
    everything = read
    async with unit_of_work(engine) as connection:
        for table in ("web_user", "audit_entry", "answered_request"):
            everything += str(
                [tuple(row) for row in await connection.execute(text(f"TABLE {table}"))]
            )
    assert first not in everything
    assert second not in everything


async def test_everybody_is_listed_page_by_page(engine: AsyncEngine, enter: Enter) -> None:
    for name in ("anna", "bota", "dana"):
        await add_user(engine, name, Role.SENIOR)
    async with enter(Role.ADMINISTRATOR) as admin:
        names, cursor = [], ""
        while True:
            page = (await admin.get(AT, params={"limit": 2, "cursor": cursor})).json()
            assert len(page["users"]) <= 2
            names += [each["name"] for each in page["users"]]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert names == sorted(names)
        assert len(names) == len(set(names)) == 4  # with the administrator
        assert not any("password" in key for key in page["users"][0])
        for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "x" * 41}):
            assert (await admin.get(AT, params=wrong)).status_code == 400


async def test_a_changed_user_is_signed_out_and_audited(
    app: FastAPI, engine: AsyncEngine, enter: Enter, call: Call
) -> None:
    user = await add_user(engine, "dana", Role.CONSULTANT)
    signature = {"full_name": "Оспанова Д.", "position": "кеңесші"}
    async with enter(Role.ADMINISTRATOR) as admin, browse(app) as dana:
        await authorized(admin)
        await sign_in(dana, "dana", PASSWORD)
        done = await admin.patch(
            DANA, json={"role": "consultant", "extension": "2001", "signature": signature}
        )
        assert done.status_code == 200
        assert done.json() == (await admin.get(DANA)).json()
        assert (
            done.json()
            == {
                "name": "dana",
                "role": "consultant",
                "active": True,
                "has_factor": False,
                "extension": "2001",
                "team": None,
                "subject": None,
            }
            | signature
        )
        assert (await dana.get("/search")).status_code == 303
        assert (await admin.patch(DANA, json={"extension": ""})).json()["extension"] is None
        assert (await admin.patch(DANA, json={"active": False})).json()["active"] is False
        assert (await sign_in(dana, "dana", PASSWORD)).status_code == 401
        assert (await admin.patch(DANA, json={"active": True})).json()["active"] is True
        assert (await admin.delete(f"{DANA}/second-factor")).status_code == 400  # there is none
        async with unit_of_work(engine) as connection:
            await second_factor_store.add(
                connection, user_id=user.id, secret=b"x", step=1, codes=["a"]
            )
        assert (await admin.delete(f"{DANA}/second-factor")).status_code == 202
        assert (await admin.delete(f"{DANA}/second-factor")).status_code == 400  # alone
        assert (await admin.get(DANA)).json()["has_factor"] is True
        async with enter(Role.ADMINISTRATOR) as other:
            await authorized(other)
            assert (await other.delete(f"{DANA}/second-factor")).status_code == 204
        assert (await admin.get(DANA)).json()["has_factor"] is False
    assert [each for each in await actions(engine) if ":session:" not in each] == [
        "web:user:role_given",
        "web:user:linked",
        "web:user:signs",
        "web:user:linked",
        "web:user:disabled",
        "web:user:enabled",
        "web:second_factor:reset_asked",
        "web:approval:self_refused",
        "web:second_factor:reset",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"extension": "9999"},
        {"signature": {"full_name": "", "position": "x"}},
        {"signature": {"full_name": "x"}},
        {"role": "boss"},
        {"role": "state_body"},
        {"subject": "x"},  # no organisation's sign-in is set up
        {"subject": "x" * 300},
    ],
    ids=str,
)
async def test_a_change_is_made_whole_or_not_at_all(
    engine: AsyncEngine, enter: Enter, wrong: dict[str, object]
) -> None:
    await add_user(engine, "dana", Role.SENIOR)
    async with enter(Role.ADMINISTRATOR) as admin:
        await authorized(admin)
        refused = await admin.patch(DANA, json={"role": "head", "active": False} | wrong)
        assert refused.status_code == 400
        assert refused.headers["content-type"] == "application/problem+json"
        read = (await admin.get(DANA)).json()
        assert (read["role"], read["active"]) == ("senior", True)
        for nobody in ("nobody", "x'--", "Ж"):
            assert (await admin.get(f"{AT}/{nobody}")).status_code == 404
            assert (await admin.patch(f"{AT}/{nobody}", json={})).status_code == 404
            assert (await admin.post(f"{AT}/{nobody}/password")).status_code == 404
            assert (await admin.delete(f"{AT}/{nobody}/second-factor")).status_code == 404
    assert not [action for action in await actions(engine) if "user:" in action]


async def test_nobody_changes_the_own_role_or_shuts_oneself_out(enter: Enter) -> None:
    async with enter(Role.ADMINISTRATOR) as admin:
        await authorized(admin)
        own = f"{AT}/{(await admin.get('/api/v1/session')).json()['name']}"
        for change in ({"role": "head"}, {"active": False}):
            refused = await admin.patch(own, json=change)
            assert refused.status_code == 409, change
            assert "Somebody else" in refused.json()["detail"]
        assert (await admin.get(own)).json()["role"] == "administrator"
