"""A request to a state body is composed, previewed and handed over by the keyboard alone."""

from datetime import datetime

import pytest
from playwright.async_api import expect

from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.browser.test_keyboard import tab_to, type_into

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_a_request_is_handed_over_by_the_keyboard_alone(
    open_page: Open, site: Served
) -> None:
    words = "Просим рассмотреть по существу."
    async with open_page(Role.CONSULTANT, "en") as page:
        await actor(page, f"/appeals/{site.registered}/requests")
        await tab_to(page, "State body")
        await type_into(page, "Ministry of Labour")
        offered = await page.locator("#direction option:enabled").evaluate_all(
            "(all) => all.map((each) => each.value)"
        )
        assert offered == ["", "social"]  # that of the body: the appeal has none
        await tab_to(page, "Direction: it decides what the body may be told without a reason")
        await type_into(page, "Social")
        await tab_to(page, "Begin")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/requests/*-*")
        await tab_to(page, "What the body is to do, in your own words")
        await type_into(page, words)
        await tab_to(page, "Substance of the appeal: Муж не платит алименты")
        await page.keyboard.press("Space")
        await tab_to(page, "Save, and show the preview")
        await page.keyboard.press("Enter")
        leaves = page.locator("#leaves")
        await expect(leaves).to_contain_text(words)
        await expect(leaves).to_contain_text("Муж не платит алименты")
        await tab_to(page, "It is ready to leave as it stands here")
        await page.keyboard.press("Enter")
        badge = page.locator("main .badge").first
        await expect(badge).to_have_text("ready, waits to leave")
        await tab_to(page, "Number that the body gave it")
        await type_into(page, "ЗТ-2026-0118")
        await page.get_by_label("Day of the number").fill(f"{datetime.now(ZONE):%Y-%m-%d}")
        await tab_to(page, "It was handed over")
        await page.keyboard.press("Enter")
        await expect(badge).to_have_text("sent")
        await expect(page.locator(".history")).to_contain_text("Handed over by hand")
