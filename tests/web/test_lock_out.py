"""Wrong tries shut out who tries: the right person comes in, and supervisors hear of an attack."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import RateLimited
from callcenter.platform.identity import login_throttle, store, totp
from callcenter.platform.identity.alerts import SIGN_IN_ATTACKED
from callcenter.platform.identity.jobs import RAISE_ATTACK, alert_of_attack
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import LIMITS, Scope, Visitor
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import sign_in, visible
from tests.web.conftest import ORIGIN, PASSWORD, add_user, browse
from tests.web.test_second_factor import enroll, last_step, prove

TRIES = LIMITS[Scope.NETWORK]


def browse_from(app: FastAPI, address: str) -> httpx.AsyncClient:
    """A browser that nobody knows, at this address."""
    transport = httpx.ASGITransport(app, client=(address, 50000))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


def leave(client: httpx.AsyncClient) -> None:
    """Close the browser: its session is over, and it is known all the same."""
    client.cookies.delete("callcenter")


async def try_wrong(client: httpx.AsyncClient, name: str) -> list[int]:
    """Guess until it is no use any more."""
    return [(await sign_in(client, name, f"guess {n}")).status_code for n in range(TRIES + 1)]


async def test_strangers_wrong_passwords_lock_out_the_stranger_alone(
    app: FastAPI, engine: AsyncEngine
) -> None:
    await add_user(engine, "aigul", Role.CONSULTANT)
    async with (
        browse_from(app, "192.0.2.1") as own,
        browse_from(app, "192.0.2.1") as stranger,
        browse_from(app, "198.51.100.1") as elsewhere,
    ):
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 303
        leave(own)
        assert await try_wrong(stranger, "aigul") == [401] * TRIES + [429]
        assert (await sign_in(stranger, "aigul", PASSWORD)).status_code == 429
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 303
        assert (await sign_in(elsewhere, "aigul", PASSWORD)).status_code == 303


async def test_the_lock_tells_nothing_of_a_name(
    app: FastAPI, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by an answer nor by the work for it: whether it exists, or has a second factor."""
    for name, role in (("aigul", Role.CONSULTANT), ("dana", Role.HEAD), ("gone", Role.HEAD)):
        await add_user(engine, name, role)
        async with browse(app) as own:
            await sign_in(own, name, PASSWORD)
            if role is Role.HEAD:
                await enroll(own)
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, name="gone", active=False)
    checked: list[str] = []
    check = Passwords.check

    def count(self: Passwords, password_hash: str | None, password: str) -> bool:
        checked.append(password)
        return check(self, password_hash, password)

    monkeypatch.setattr(Passwords, "check", count)
    seen = []
    for n, name in enumerate(("nobody", "aigul", "gone", "dana")):
        async with browse_from(app, f"192.0.2.{n}") as stranger:
            answers = [await sign_in(stranger, name, f"guess {n}") for n in range(TRIES + 2)]
        seen.append([(answer.status_code, visible(answer.text)) for answer in answers])
        assert len(checked) == len(answers)
        checked.clear()
    assert [status for status, _ in seen[0]] == [401] * TRIES + [429] * 2
    assert seen == [seen[0]] * len(seen)
    async with unit_of_work(engine) as connection:
        locked = select(func.count()).where(audit_entry.c.action == "web:session:locked")
        assert await connection.scalar(locked) == len(seen)


def networks() -> Iterator[Visitor]:
    """Strangers, each in a network of IPv6 of their own."""
    return (Visitor(f"2001:db8:0:{n:x}::1") for n in range(1, 1000))


async def lock_name(engine: AsyncEngine, name: str) -> None:
    """Guess from many places, as botnets do, until nobody unknown may try."""
    for visitor in networks():
        try:
            for _ in range(TRIES):
                await login_throttle.check(engine, name=name, visitor=visitor)
        except RateLimited:
            return


async def test_a_botnet_locks_the_name_for_strangers_only(
    app: FastAPI, engine: AsyncEngine, redis: Redis
) -> None:
    await add_user(engine, "aigul", Role.CONSULTANT)
    await add_user(engine, "dana", Role.HEAD)
    async with (
        browse(app) as own,
        browse(app) as factor,
        browse_from(app, "198.51.100.1") as elsewhere,
    ):
        await sign_in(own, "aigul", PASSWORD)
        leave(own)
        await sign_in(factor, "dana", PASSWORD)
        secret, _ = await enroll(factor)
        for name in ("aigul", "dana"):
            await lock_name(engine, name)
        assert (await sign_in(elsewhere, "aigul", PASSWORD)).status_code == 429
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 303
        assert (await sign_in(elsewhere, "dana", "wrong")).status_code == 429
        assert (await sign_in(elsewhere, "dana", PASSWORD)).status_code == 303
        entered = await prove(elsewhere, totp.code_of(secret, await last_step(engine) + 1))
        assert entered.status_code == 303
        assert (await elsewhere.get("/search")).status_code == 200
    async with unit_of_work(engine) as connection:
        action = audit_entry.c.action == "web:session:locked"
        locked = await connection.scalars(select(audit_entry.c.detail).where(action))
        assert {"locked": "name"} in list(locked)
        waiting = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :name")
        assert await connection.scalar(waiting, {"name": RAISE_ATTACK}) == 1
    for _ in range(2):
        await alert_of_attack(redis)
    assert await redis.hgetall("desk:alarm_counts") == {SIGN_IN_ATTACKED.key: "1"}


async def test_a_recognized_browser_has_few_tries_itself(app: FastAPI, engine: AsyncEngine) -> None:
    await add_user(engine, "aigul", Role.CONSULTANT)
    async with browse(app) as own, browse(app) as other:
        await sign_in(own, "aigul", PASSWORD)
        leave(own)
        answers = [
            (await sign_in(own, "aigul", f"guess {n}")).status_code for n in range(2 * TRIES + 1)
        ]
        assert answers == [401] * (2 * TRIES) + [429]  # then as a stranger
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 429
        assert (await sign_in(other, "nobody", "wrong")).status_code == 401


async def test_a_planted_cookie_recognizes_nobody(app: FastAPI, engine: AsyncEngine) -> None:
    """Who put a cookie into a browser before the sign-in there is no known browser by it."""
    await add_user(engine, "aigul", Role.CONSULTANT)
    async with browse(app) as own, browse_from(app, "192.0.2.1") as stranger:
        for client in (own, stranger):
            client.cookies.set("callcenter_device", "planted" * 6)
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 303
        assert await try_wrong(stranger, "aigul") == [401] * TRIES + [429]


async def test_a_new_password_forgets_recognized_browsers(
    app: FastAPI, engine: AsyncEngine
) -> None:
    user = await add_user(engine, "aigul", Role.CONSULTANT)
    async with browse(app) as own, browse(app) as stranger:
        await sign_in(own, "aigul", PASSWORD)
        leave(own)
        async with unit_of_work(engine) as connection:
            await store.set_password(connection, name="aigul", password_hash=user.password_hash)
        await try_wrong(stranger, "aigul")
        assert (await sign_in(own, "aigul", PASSWORD)).status_code == 429


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_one_customers_addresses_of_ipv6_are_one(address: str, network: str) -> None:
    assert Visitor(address).network == network
