"""The telephone in the page of work: for whose it is, and what such a page may do."""

import asyncio
from datetime import UTC, datetime

import httpx
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.bootstrap.softphone_provisioning import sip_accounts
from callcenter.consultants import store
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store as identity
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.identity.tables import web_session, web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.users import service
from tests.web.browser import form_token
from tests.web.conftest import Enter
from tests.web.test_presence import DIGEST, consultant, distributor, link  # noqa: F401 fixtures


async def set_in_browser(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await store.set_in_browser(connection, "201", True)


async def test_only_a_page_telephones_consultant_gets_its_credentials(
    consultant: httpx.AsyncClient,  # noqa: F811
    enter: Enter,
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    assert (await consultant.get("/workspace/telephone")).status_code == 400
    await set_in_browser(engine)
    answer = await consultant.get("/workspace/telephone")
    [own] = [each for each in await sip_accounts(settings) if each.webrtc]
    assert answer.json() == {
        "url": f"ws://127.0.0.1:{settings.ari_port}/ws",
        "extension": "201",
        "realm": "asterisk",
        "ha1": own.digest,
    }
    assert own.digest != DIGEST
    assert answer.headers["cache-control"] == "no-store"
    async with enter(Role.SENIOR) as other:
        assert (await other.get("/workspace/telephone")).status_code == 400
        await link(engine, Role.SENIOR, "202")
        assert (await other.get("/workspace/telephone")).status_code == 400
    assert own.digest not in (await consultant.get("/workspace")).text


async def test_a_browser_telephones_secret_ends_with_its_session(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    await set_in_browser(engine)
    assert await browsers(settings) == []
    first = (await consultant.get("/workspace/telephone")).json()["ha1"]
    assert (await consultant.get("/workspace/telephone")).json()["ha1"] == first  # another window
    assert await browsers(settings) == [first]
    async with unit_of_work(engine) as connection:
        idle = datetime.now(UTC) - identity.IDLE_TIMEOUT
        await connection.execute(update(web_session).values(seen_at=idle))
    assert await browsers(settings) == []  # without a word from anybody
    async with unit_of_work(engine) as connection:
        await connection.execute(update(web_session).values(seen_at=datetime.now(UTC)))
        extra = await another_session(connection)
    assert await browsers(settings) == [first]
    consultant.cookies.set("callcenter", extra)
    second = (await consultant.get("/workspace/telephone")).json()["ha1"]
    assert second != first
    assert await browsers(settings) == [second]
    token = await form_token(consultant, "/second-factor")
    await consultant.post("/sign-out", data={"form_token": token})
    assert await browsers(settings) == []


async def browsers(settings: Settings) -> list[str]:
    """The secrets of telephones in browsers, as Asterisk gets them."""
    return [each.digest for each in await sip_accounts(settings) if each.webrtc]


async def another_session(connection: AsyncConnection) -> str:
    """The token of a second session of the one user who is a consultant."""
    token = new_token()
    user = await connection.scalar(
        select(web_user.c.id).where(web_user.c.consultant_id.is_not(None))
    )
    assert user is not None
    await identity.begin_session(connection, user_id=user, token=token)
    return token


async def test_who_is_shut_out_has_no_telephone_and_no_roster(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    name = await user_name(engine)
    heard = NotifyListener(settings)
    changes = heard.subscribe(store.CHANGED)
    listening = asyncio.create_task(heard.run())
    try:
        for column in ("active", "entitled"):
            for is_in in (False, True):
                async with asyncio.timeout(20):
                    await changes.wait(20)  # it listens, or heard of the change before
                async with unit_of_work(engine) as connection:
                    row = update(web_user).where(web_user.c.name == name)
                    await connection.execute(row.values({column: is_in}))
                async with asyncio.timeout(20):
                    await changes.wait(20)
                extensions = [each.extension for each in await sip_accounts(settings)]
                assert extensions == (["201", "202"] if is_in else ["202"])
                async with unit_of_work(engine) as connection:
                    offered = [each.extension for each in await store.active(connection)]
                assert offered == extensions
                changes.notify()
    finally:
        listening.cancel()


async def user_name(engine: AsyncEngine) -> str:
    async with unit_of_work(engine) as connection:
        return (await store.users(connection))["201"]


async def test_a_softphones_password_does_not_outlive_the_link(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    name, by = await user_name(engine), Actor(None, command="test")
    for extension, is_changed in (("201", False), ("202", True), ("", True)):
        former = {each.extension: each.digest for each in await sip_accounts(settings)}
        async with unit_of_work(engine) as connection:
            before = await store.users(connection)
            await service.link_consultant(connection, by, name, extension)
        now = {each.extension: each.digest for each in await sip_accounts(settings)}
        [had] = before
        assert (now[had] != former[had]) is is_changed
        assert now.keys() == former.keys()


async def test_only_this_page_may_use_the_microphone_and_reach_asterisk(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
) -> None:
    plain = await consultant.get("/workspace")
    assert "telephone.js" not in plain.text
    assert "connect-src 'self';" in plain.headers["content-security-policy"]
    assert "microphone=()" in plain.headers["permissions-policy"]
    await set_in_browser(engine)
    page = await consultant.get("/workspace")
    assert "telephone.js" in page.text
    where = f"connect-src 'self' ws://127.0.0.1:{settings.ari_port};"
    assert where in page.headers["content-security-policy"]
    assert "microphone=(self)" in page.headers["permissions-policy"]
    other = await consultant.get("/search")
    assert "microphone=()" in other.headers["permissions-policy"]


async def test_asterisk_reads_whose_telephone_is_a_browser(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    await set_in_browser(engine)
    await consultant.get("/workspace/telephone")
    reported = {each.extension: each.webrtc for each in await sip_accounts(settings)}
    assert reported == {"201": True, "202": False}
