"""A conversation and what is typed into its record outlive a killed server and a dead browser."""

from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, expect

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.launcher.port_check import free_port
from callcenter.platform.identity.permissions import Role
from tests.browser.site import Served, running_site, session_of
from tests.browser.test_workspace import leave, rung
from tests.services import new_folder

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def signed_in(browser: Browser, token: str) -> BrowserContext:
    context = await browser.new_context(locale="en")
    cookies = {"callcenter": token, "callcenter_language": "en"}
    await context.add_cookies(
        [{"name": k, "value": v, "domain": "127.0.0.1", "path": "/"} for k, v in cookies.items()]
    )
    return context


async def shows_call(page: Page, appeal: str) -> None:
    """The page says that one talks, and has the record of that call open."""
    await expect(page.locator("[data-group=talking]")).to_be_visible()
    await expect(page.locator(f"#appeal-panel[data-number='{appeal}']")).to_be_visible()


@pytest.mark.timeout(240)  # three servers are started
async def test_call_and_draft_outlive_the_server_and_the_browser(
    browser: Browser, site: Served, short_folder: Path
) -> None:
    settings = site.settings.model_copy(update={"web_port": free_port()})
    token = await session_of(site.engine, Role.CONSULTANT, "201")
    presence = PresenceService(site.redis, site.settings)
    await presence.ask("201", PresenceState.READY, by="self", page=True)
    context = await signed_in(browser, token)
    try:
        async with rung(site, "201") as call:
            call.place.mark_answered()
            page = await context.new_page()
            written, stored = page.locator("#f-content"), page.locator(".draft")
            with running_site(settings, new_folder(short_folder / "before")) as origin:
                await page.goto(f"{origin}/workspace")
                await shows_call(page, call.appeal)
                await written.fill("Кричит ребёнок")
                await expect(stored).not_to_be_empty()
            # The server was killed; what is typed meanwhile waits in the page.
            await written.focus()
            await page.keyboard.press("End")
            await page.keyboard.type(" за стеной")
            await expect(stored).to_contain_text("Your changes are not being saved")
            with running_site(settings, new_folder(short_folder / "after")):
                await expect(stored).to_contain_text("Draft saved at")
                await shows_call(page, call.appeal)
                with suppress(Error):
                    await page.goto("chrome://crash")
                await context.close()
                context = await signed_in(browser, token)
                page = await context.new_page()
                await page.goto(f"{origin}/workspace")
                await shows_call(page, call.appeal)
                written = page.locator("#f-content")
                await expect(written).to_have_value("Кричит ребёнок за стеной")
                await expect(page.locator("[data-discard]")).to_have_count(1)
    finally:
        await context.close()
        await leave(site, "201")
