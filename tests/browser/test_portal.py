"""The portal in a browser on the narrowest telephone: nothing beside the screen, no barriers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.web.server import PageServer, configure, listen
from callcenter.portal.pages import portal_application
from tests.browser.chromium import Complaints, is_wider_than_its_window, serious_faults
from tests.intake.messages import TEXT
from tests.portal.conftest import sealed_to_intake
from tests.services import changed, opened_as

__all__ = ["sealed_to_intake"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

NARROW = ViewportSize(width=320, height=568)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """The address of a portal, which serves within the block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    ours = changed(settings, portal_url=url)
    async with opened_as(DatabaseRole.PORTAL, ours) as engine:
        app = portal_application(ours, engine)
        with listen("127.0.0.1", port, "") as listener:
            server = PageServer(configure(app), lambda: None, lambda: None)
            server.capture_signals = nullcontext  # type: ignore[assignment,method-assign]
            task = asyncio.create_task(server.serve([listener]))
            try:
                yield url
            finally:
                server.handle_exit(15, None)
                await task


@pytest.mark.parametrize(("language", "scripts"), [("kk", True), ("ru", True), ("kk", False)])
async def test_a_child_writes_and_opens_it_at_320_pixels(
    settings: Settings,
    database: str,
    sealed_to_intake: None,
    browser: Browser,
    language: str,
    scripts: bool,
) -> None:
    opened = await browser.new_page(viewport=NARROW, java_script_enabled=scripts)
    async with serving(settings) as url, opened as page:
        complaints = Complaints(page, url)

        async def look() -> None:
            if scripts:  # what looks for faults is one
                assert await serious_faults(page) == []
            assert not await is_wider_than_its_window(page)

        await page.goto(f"{url}/{language}/s")
        await look()
        await page.locator("main .urgent").click()
        await expect(page.get_by_role("checkbox")).to_be_checked()
        await page.get_by_role("checkbox").uncheck()
        await page.locator("summary").click()
        await look()
        await page.locator("#message > button").click()
        await expect(page.locator("#refusal")).to_be_visible()  # nothing was written
        await look()
        complaints.forgive("400")
        await page.locator("textarea").fill(TEXT)
        await page.get_by_role("checkbox").check()
        for other in ({"kk": "ru", "ru": "kk"}[language], language):
            await page.locator(f"nav [lang={other}]").click()
            await expect(page.locator("html")).to_have_attribute("lang", other)
            assert await page.locator("textarea").input_value() == TEXT
            await look()
        await page.get_by_role("checkbox").press("Enter")  # the first button is no language
        await expect(page.locator(".receipt")).to_be_visible()
        await look()
        number, words = (await page.locator(".receipt").inner_text()).splitlines()
        await page.goto(f"{url}/{language}/r")
        await look()
        await page.locator("[name=number]").fill(number)
        await page.locator("[name=words]").fill(words)
        await page.locator("main button").click()
        assert await page.locator(".own").inner_text() == TEXT
        await look()
        await _goes_by_keyboard(page)
        assert complaints.found == []


async def _goes_by_keyboard(page: Page) -> None:
    """The first things that the key Tab reaches are how to leave, and whom to call."""
    for reached in ("leave", "tel:111"):
        await page.keyboard.press("Tab")
        assert reached in await page.evaluate("document.activeElement.outerHTML")
