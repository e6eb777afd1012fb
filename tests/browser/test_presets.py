"""A preset is one press in the panel of an appeal, and Enter in a field presses none."""

import pytest
from playwright.async_api import expect

from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.web.conftest import RECEIVED, open_call

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_one_press_fills_in_a_preset_and_keeps_the_rest(
    open_page: Open, site: Served
) -> None:
    _, number = await open_call(site.engine, "preset-1", RECEIVED)
    async with open_page(Role.CONSULTANT, "ru") as page:
        await actor(page, f"/appeals/{number}")
        content = page.locator("#f-content")
        await content.fill("Про алименты на двоих")
        await page.get_by_role("button", name="Алименты: справка").click()
        await expect(page.locator("#f-decision")).to_have_value("Разъяснён порядок")
        await expect(content).to_have_value("Про алименты на двоих")
        await expect(page.locator("#kind")).to_have_value("consultation")
        await page.get_by_role("button", name="Закрыть", exact=True).click()
        await expect(page.locator("[data-stage=closed]")).to_be_visible()


async def test_enter_in_a_field_fills_no_preset_in(open_page: Open, site: Served) -> None:
    _, number = await open_call(site.engine, "preset-2", RECEIVED)
    async with open_page(Role.CONSULTANT, "ru") as page:
        await actor(page, f"/appeals/{number}")
        await page.locator("[data-fold=more] summary").first.click()
        await page.locator("#f-place").press("Enter")
        await expect(page.locator(".draft")).to_have_text("Сделано.")
        await expect(page.locator("#f-decision")).to_have_value("")
