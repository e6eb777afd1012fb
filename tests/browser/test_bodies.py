"""The competent body stands on the panel of an appeal as soon as its topic is chosen."""

import pytest
from playwright.async_api import expect

from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.web.conftest import RECEIVED, open_call

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_the_competent_body_follows_the_topic_and_is_noted(
    open_page: Open, site: Served
) -> None:
    _, number = await open_call(site.engine, "competence-1", RECEIVED)
    async with open_page(Role.CONSULTANT, "ru") as page:
        await actor(page, f"/appeals/{number}")
        await page.locator("[data-fold=bodies] > summary").press("Enter")
        await expect(page.locator("#competence")).to_contain_text("Выберите тему и регион")
        await page.locator("#f-topics").select_option("violence")
        said = page.locator("#competence q")
        await expect(said).to_have_text("Ішкі істер министрлігі: 102")
        await page.locator("#body-search").fill("1411")
        await expect(said).to_contain_text("1411")
        await page.locator("#body-search").fill("")
        await expect(said).to_have_text("Ішкі істер министрлігі: 102")
        await expect(page.locator(".draft")).to_contain_text(":")  # what was chosen is stored
        await page.locator("#competence button").press("Enter")
        named = page.locator("#bodies .history")
        await expect(named).to_contain_text("Ішкі істер министрлігі: 102")
        await expect(page.locator("#f-topics")).to_have_value("violence")
