"""The telephone in the page of work: for whose it is, and what such a page may do."""

import httpx
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.settings import Settings
from callcenter.softphones import sip_accounts
from callcenter.storage.engine import unit_of_work
from callcenter.web.permissions import Role
from tests.web.conftest import Enter
from tests.web.test_duty import DIGEST, consultant, desk, link  # noqa: F401 fixtures


async def set_in_browser(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await store.set_in_browser(connection, "201", True)


async def test_only_who_has_it_in_the_page_is_told_what_opens_it(
    consultant: httpx.AsyncClient,  # noqa: F811
    enter: Enter,
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    assert (await consultant.get("/duty/telephone")).status_code == 400
    await set_in_browser(engine)
    answer = await consultant.get("/duty/telephone")
    assert answer.json() == {
        "url": f"ws://127.0.0.1:{settings.ari_port}/ws",
        "extension": "201",
        "realm": "asterisk",
        "ha1": DIGEST,
    }
    assert answer.headers["cache-control"] == "no-store"
    async with enter(Role.SENIOR) as other:
        assert (await other.get("/duty/telephone")).status_code == 400
        await link(engine, Role.SENIOR, "202")
        assert (await other.get("/duty/telephone")).status_code == 400
    assert DIGEST not in (await consultant.get("/duty")).text


async def test_only_this_page_may_use_the_microphone_and_reach_asterisk(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
) -> None:
    plain = await consultant.get("/duty")
    assert "telephone.js" not in plain.text
    assert "connect-src 'self';" in plain.headers["content-security-policy"]
    assert "microphone=()" in plain.headers["permissions-policy"]
    await set_in_browser(engine)
    page = await consultant.get("/duty")
    assert "telephone.js" in page.text
    where = f"connect-src 'self' ws://127.0.0.1:{settings.ari_port};"
    assert where in page.headers["content-security-policy"]
    assert "microphone=(self)" in page.headers["permissions-policy"]
    other = await consultant.get("/appeals")
    assert "microphone=()" in other.headers["permissions-policy"]


async def test_asterisk_is_told_whose_telephone_is_a_browser(
    consultant: httpx.AsyncClient,  # noqa: F811
    engine: AsyncEngine,
    settings: Settings,
) -> None:
    await set_in_browser(engine)
    told = {each.extension: each.webrtc for each in await sip_accounts(settings)}
    assert told == {"201": True, "202": False}
