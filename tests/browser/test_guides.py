"""Key ? opens the guide of any page, and is nothing else anywhere."""

import re

import pytest
from playwright.async_api import Page, expect

from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import (
    actor,
    is_wider_than_its_window,
    serious_faults,
)
from tests.browser.conftest import Open
from tests.browser.page_checks import NARROW, SMALL, WIDE, foreign_words
from tests.browser.site import Served
from tests.browser.test_pages import NOWHERE, PAGES, RECEIPT, own_of, values_of
from tests.rules.test_guides import GUIDES

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Long ones, with keys and without.
LOOKED_AT = (
    ("/workspace", Role.SENIOR),
    ("/live", Role.HEAD),
)
ROLES = list(dict.fromkeys(role for _, role in PAGES))


@pytest.mark.parametrize("role", ROLES)
async def test_the_key_opens_the_guide_of_every_page(
    open_page: Open, site: Served, role: Role | None
) -> None:
    pages = {guide.page for guide in GUIDES}
    async with open_page(role, "en", extension=own_of(role), forgiven="404") as page:
        for path in (path for path, who in PAGES if who is role and "?" not in path):
            if path == RECEIPT:
                continue  # paper
            await actor(page, path.format(**values_of(site, path)))
            address = page.url
            await page.evaluate("() => document.activeElement.blur()")
            await page.keyboard.press("?")
            guide = page.locator("#guide")
            await expect(guide).to_be_visible()
            if await page.locator("body").get_attribute("data-page") in pages:
                await expect(guide).to_contain_text("What can go wrong")
            else:
                assert role is None or path in NOWHERE
            await page.keyboard.press("Escape")
            await expect(guide).to_be_hidden()
            assert page.url == address


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_guide_can_be_read_by_everybody(
    open_page: Open, site: Served, pytestconfig: pytest.Config, language: str
) -> None:
    for path, role in LOOKED_AT:
        async with open_page(role, language, extension=own_of(role)) as page:
            await actor(page, path.format(**values_of(site, path)))
            await open_guide(page)
            await page.locator("#guide img").evaluate("(picture) => picture.decode()")
            assert foreign_words(await page.content(), language) == []
            assert await page.evaluate(SMALL) == []
            for size in (NARROW, WIDE):
                await page.set_viewport_size(size)
                assert not await is_wider_than_its_window(page)
                if folder := pytestconfig.getoption("pictures"):
                    name = re.sub(r"\W+", "-", path).strip("-")
                    file = f"{folder}/guide-{name}-{language}-{size['width']}.png"
                    await page.screenshot(path=file, caret="initial")
            assert await serious_faults(page) == []
            if language == "en":
                await page.emulate_media(color_scheme="dark")
                assert await serious_faults(page, "color-contrast") == []


async def test_keys_are_the_guides_alone_while_it_is_open(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, "/search")
        await expect(page.locator("#q")).to_be_focused()
        await page.keyboard.type("?")  # it is typed
        await expect(page.locator("#guide")).to_be_hidden()
        await expect(page.locator("#q")).to_have_value("?")
        row = page.locator("[data-row]").first
        await row.focus()
        await open_guide(page)
        for key in ("j", "k", "/", "1"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("button", name="Close the guide")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(row).to_be_focused()
        assert page.url.endswith("/search")
        await page.get_by_role("button", name="Guide").click()
        await page.get_by_role("button", name="Close the guide").click()
        await expect(page.locator("#guide")).to_be_hidden()


async def test_a_guide_is_loaded_again_after_a_failure(open_page: Open) -> None:
    async with open_page(Role.HEAD, "en", forgiven="the console") as page:
        await actor(page, "/live/queue")
        await page.context.set_offline(True)
        await page.keyboard.press("?")
        guide = page.locator("#guide")
        await expect(guide).to_contain_text("there is no connection")
        await page.keyboard.press("Escape")
        await page.context.set_offline(False)
        await page.keyboard.press("?")
        await expect(guide).to_contain_text("What can go wrong")
        await expect(guide).not_to_contain_text("there is no connection")


async def test_a_key_with_alt_acts_behind_the_guide(open_page: Open) -> None:
    async with open_page(Role.CONSULTANT, "en", extension="203") as page:
        await actor(page, "/workspace")
        await open_guide(page)
        await page.keyboard.press("Alt+p")
        await expect(page.locator("#guide")).to_be_hidden()
        await expect(page.locator(".more [name=reason]").first).to_be_focused()


#: Where something can be typed, the key is typed.
LEAVE_FIELD = (
    "() => document.activeElement.matches('input, select') && document.activeElement.blur()"
)


async def open_guide(page: Page) -> None:
    await page.evaluate(LEAVE_FIELD)
    await page.keyboard.press("?")
    await expect(page.locator("#guide ol")).to_be_visible()  # it has come
