"""The second factor: set up, proved, recovered, reset; and that no session comes before it."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import second_factor_store, store, totp
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.platform.identity.second_factor import demanding_roles
from callcenter.platform.identity.sign_in_attempts import LIMITS, Scope
from callcenter.platform.identity.tables import recovery_code, second_factor, sign_in_entrance
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import FORM_TOKEN, form_token, sign_in
from tests.web.conftest import PASSWORD, Enter, add_user, browse

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
PROPOSED = re.compile(r'name="proposed" value="([^"]+)"')
KEY = re.compile(r"<code>([A-Z2-7 ]+)</code>")
RECOVERY = re.compile(r"<code>([A-Z2-7-]{19})</code>")


@given(MOMENTS, st.integers(-3, 3), st.integers(-3, 3))
def test_a_code_counts_within_a_step_and_never_again(now: datetime, off: int, last: int) -> None:
    current = totp.step_at(now)
    typed = totp.code_of(SECRET, current + off)
    found = totp.matching_step(SECRET, typed, now=now, after=current + last)
    near = [
        step
        for step in range(current - totp.DRIFT, current + totp.DRIFT + 1)
        if step > current + last and totp.code_of(SECRET, step) == typed
    ]
    assert found == (near[0] if near else None)
    if abs(off) <= totp.DRIFT and off > last:
        assert found is not None


@given(st.text(max_size=40))
def test_what_is_no_code_is_refused_and_disturbs_nothing(typed: str) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    step = totp.matching_step(SECRET, typed, now=now, after=0)
    assert step is None or totp.code_of(SECRET, step) == "".join(typed.split())
    recovery = totp.recovery_code(typed)
    assert recovery is None or totp.recovery_code(totp.in_groups(recovery, "-")) == recovery


def test_a_recovery_code_is_read_as_people_write_it() -> None:
    assert totp.recovery_code(" obi2-aaaa bbbb-cccc") == "OBI2AAAABBBBCCCC"
    assert totp.recovery_code("0812AAAABBBBCCCC") == "OBI2AAAABBBBCCCC"
    assert totp.recovery_code("OBI2AAAABBBBCCC") is None


def test_codes_are_those_of_rfc_6238() -> None:
    # Appendix B: the last six of the eight digits, SHA-1.
    key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        moment = datetime.fromtimestamp(seconds, UTC)
        assert totp.code_of(key, totp.step_at(moment)) == code


def test_a_role_that_is_none_stops_the_site_by_name(settings: Settings) -> None:
    wrong = settings.model_copy(update={"second_factor_roles": ("boss",)})
    with pytest.raises(InvalidRequest, match=r"SECOND_FACTOR_ROLES.*boss"):
        demanding_roles(wrong)
    assert not demanding_roles(settings.model_copy(update={"second_factor_roles": ()}))


def test_defaults_demand_second_factors_and_a_sign_in_for_calls() -> None:
    default = Settings(_env_file=None)
    assert demanding_roles(default) == {*assignable_roles()} - {Role.CONSULTANT}
    assert default.sign_in_required


def code(secret: str) -> str:
    return totp.code_of(secret, totp.step_at(datetime.now(UTC)))


async def send(client: httpx.AsyncClient, page: str, typed: str) -> httpx.Response:
    token = FORM_TOKEN.search(page)
    proposed = PROPOSED.search(page)
    assert token is not None
    data = {"form_token": token[1], "code": typed, "back": "/search"}
    return await client.post(
        "/second-factor", data=data | ({"proposed": proposed[1]} if proposed else {})
    )


async def last_step(engine: AsyncEngine) -> int:
    """The step of the last code that was accepted; the next one is accepted too, early or not."""
    async with unit_of_work(engine) as connection:
        return int((await connection.execute(select(second_factor.c.last_step))).scalar_one())


async def prove(client: httpx.AsyncClient, typed: str) -> httpx.Response:
    return await send(client, (await client.get("/second-factor")).text, typed)


async def enroll(client: httpx.AsyncClient) -> tuple[str, list[str]]:
    """Set the factor up; returns its secret and the recovery codes."""
    page = (await client.get("/second-factor")).text
    found = KEY.search(page)
    assert found is not None
    assert "<svg" in page
    secret = found[1].replace(" ", "")
    shown = await send(client, page, code(secret))
    assert shown.status_code == 200
    return secret, RECOVERY.findall(shown.text)


async def enrolled(app: FastAPI, engine: AsyncEngine) -> tuple[str, list[str]]:
    """A head, dana, who has a second factor."""
    await add_user(engine, "dana", Role.HEAD)
    async with browse(app) as client:
        await sign_in(client, "dana", PASSWORD)
        return await enroll(client)


async def actions(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(select(audit_entry.c.action).order_by(audit_entry.c.id))
        return list(rows.scalars())


@pytest.mark.parametrize("role", [Role.HEAD, Role.SENIOR])
async def test_a_configured_role_does_nothing_before_enrolling(
    visitor: httpx.AsyncClient, engine: AsyncEngine, role: Role
) -> None:
    await add_user(engine, "dana", role)
    onward = (await sign_in(visitor, "dana", PASSWORD)).headers["location"]
    assert onward == "/second-factor?back=%2F"
    for path in ("/", "/search", "/api/v1/live"):
        assert (await visitor.get(path)).status_code in (303, 401)
    page = (await visitor.get("/second-factor")).text
    assert (await send(visitor, page, "000000x")).status_code == 401
    secret, recovery = await enroll(visitor)
    assert len(set(recovery)) == totp.RECOVERY_CODES
    assert (await visitor.get("/search")).status_code == 200
    async with unit_of_work(engine) as connection:
        stored = (await connection.execute(select(second_factor.c.secret))).scalar_one()
        hashes = (await connection.execute(select(recovery_code.c.code_hash))).scalars().all()
    assert secret.encode() not in stored
    assert all(len(each) == 32 for each in hashes)
    assert await actions(engine) == ["web:session:started", "web:second_factor:enrolled"]


async def test_sign_in_asks_for_a_code_which_counts_once(app: FastAPI, engine: AsyncEngine) -> None:
    secret, _ = await enrolled(app, engine)
    step = await last_step(engine)
    used, later = totp.code_of(secret, step), totp.code_of(secret, step + 1)
    async with browse(app) as client:
        await sign_in(client, "dana", PASSWORD)
        assert (await client.get("/search")).status_code == 303
        assert (await prove(client, used)).status_code == 401  # enrolment used it
        entered = await prove(client, f"{later[:3]} {later[3:]}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/search")
        assert (await client.get("/search")).status_code == 200
    async with browse(app) as thief:
        await sign_in(thief, "dana", PASSWORD)
        assert (await prove(thief, later)).status_code == 401
        assert (await thief.get("/search")).status_code == 303


async def test_a_code_sent_twice_at_once_begins_one_session(
    app: FastAPI, engine: AsyncEngine
) -> None:
    secret, _ = await enrolled(app, engine)
    async with browse(app) as one, browse(app) as other:
        for client in (one, other):
            await sign_in(client, "dana", PASSWORD)
        typed = totp.code_of(secret, await last_step(engine) + 1)
        answers = await asyncio.gather(prove(one, typed), prove(other, typed))
    assert sorted(answer.status_code for answer in answers) == [303, 401]


async def test_who_has_the_password_cannot_try_codes_for_long(
    app: FastAPI, engine: AsyncEngine
) -> None:
    secret, _ = await enrolled(app, engine)
    async with browse(app) as client:
        await sign_in(client, "dana", PASSWORD)
        page = (await client.get("/second-factor")).text
        limit = LIMITS[Scope.CODE]
        answers = [(await send(client, page, "no")).status_code for _ in range(limit + 1)]
        assert answers == [401] * limit + [429]
        assert (await prove(client, code(secret))).status_code == 429
        await sign_in(client, "dana", PASSWORD)
        assert (await prove(client, code(secret))).status_code == 429
    assert (await actions(engine)).count("web:second_factor:refused") == len(answers) - 1


async def test_a_recovery_code_lets_in_once(app: FastAPI, engine: AsyncEngine) -> None:
    _, recovery = await enrolled(app, engine)
    for status in (303, 401):
        async with browse(app) as client:
            await sign_in(client, "dana", PASSWORD)
            assert (await prove(client, recovery[0].lower())).status_code == status
    assert "web:second_factor:recovery_used" in await actions(engine)


async def test_the_way_between_password_and_code_is_short(
    app: FastAPI, engine: AsyncEngine
) -> None:
    secret, _ = await enrolled(app, engine)
    async with browse(app) as client:
        await sign_in(client, "dana", PASSWORD)
        page = (await client.get("/second-factor")).text
        old = datetime.now(UTC) - store.ENTRANCE_TIMEOUT - timedelta(seconds=1)
        async with unit_of_work(engine) as connection:
            await connection.execute(update(sign_in_entrance).values(created_at=old))
        answer = await send(client, page, code(secret))
        assert answer.headers["location"].startswith("/sign-in")
        async with unit_of_work(engine) as connection:
            await store.delete_expired(connection)
            assert (await connection.execute(select(sign_in_entrance))).one_or_none() is None


async def test_after_a_reset_the_factor_is_set_up_anew(app: FastAPI, engine: AsyncEngine) -> None:
    await enrolled(app, engine)
    async with browse(app) as client:
        await sign_in(client, "dana", PASSWORD)
        async with unit_of_work(engine) as connection:
            await second_factor_store.remove(connection, "dana")
        assert (await client.get("/second-factor")).status_code == 303
        await sign_in(client, "dana", PASSWORD)
        await enroll(client)
    async with unit_of_work(engine) as connection:
        await second_factor_store.remove(connection, "dana")
        for name in ("dana", "nobody"):
            with pytest.raises(InvalidRequest):
                await second_factor_store.remove(connection, name)


async def test_a_factor_is_optional_and_foreign_proposals_are_refused(
    enter: Enter,
) -> None:
    async with enter(Role.CONSULTANT) as one, enter(Role.CONSULTANT) as other:
        page = (await one.get("/second-factor")).text
        proposed, key = PROPOSED.search(page), KEY.search(page)
        assert proposed is not None
        assert key is not None
        token = await form_token(other, "/second-factor")
        data = {"form_token": token, "code": "123456", "proposed": proposed[1]}
        assert (await other.post("/second-factor", data=data)).status_code == 400
        nonsense = await other.post("/second-factor", data=data | {"proposed": "zz"})
        assert nonsense.status_code == 400
        await enroll(one)
        assert (await one.get("/search")).status_code == 200
        # The older form's code is right, but who has a factor does not get another.
        again = await send(one, page, code(key[1].replace(" ", "")))
        assert again.status_code == 400
        assert "10" in (await one.get("/second-factor")).text
