"""A browser, one for all tests, and a page of one's own in it, signed in as somebody."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize

from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import LIMIT, Complaints, open_browser
from tests.browser.site import Served, open_site, session_of
from tests.services import new_database

WINDOW = ViewportSize(width=1280, height=800)

Open = Callable[..., AbstractAsyncContextManager[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(short_folder: Path, postgres: Path, redis_url: str) -> AsyncIterator[Served]:
    with new_database(postgres) as database:
        async with open_site(short_folder / "site", database, f"{redis_url}?db=4") as site:
            yield site


@pytest.fixture
def open_page(browser: Browser, site: Served) -> Open:
    """`async with open_page(role) as page`: nothing may go wrong in it until the block ends."""
    return pages_of(browser, site)


def pages_of(browser: Browser, site: Served) -> Open:
    """Pages of this site, as `open_page` gives those of the site of all tests."""

    @asynccontextmanager
    async def open_page(
        role: Role | None = None,
        language: str = "ru",
        *,
        extension: str | None = None,
        forgiven: str | None = None,
    ) -> AsyncIterator[Page]:
        context = await browser.new_context(base_url=site.origin, viewport=WINDOW, locale=language)
        context.set_default_timeout(LIMIT)
        try:
            if role is not None:
                host = urlsplit(site.origin).hostname
                token = await session_of(site.engine, role, extension)
                cookies = {"callcenter": token, "callcenter_language": language}
                await context.add_cookies(
                    [
                        {"name": k, "value": v, "domain": host, "path": "/"}
                        for k, v in cookies.items()
                    ]
                )
            page = await context.new_page()
            complaints = Complaints(page, site.origin)
            yield page
            if forgiven is not None:
                complaints.forgive(forgiven)
            assert complaints.found == []
        finally:
            await context.close()

    return open_page
