"""The competent body stands on the panel of an appeal as soon as its topic is chosen."""

import pytest
from playwright.async_api import expect

from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.page_checks import WIDE
from tests.browser.site import Served
from tests.browser.test_workspace import leave, rung
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


async def test_during_a_call_the_competent_body_stands_beside_the_record(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.CONSULTANT, "kk", extension="203") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "203") as call:
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await panel.locator("#f-topics").select_option("violence")
            said = page.locator("#helps q")
            await expect(said).to_have_text("Министерство внутренних дел: 102")
            await panel.locator("#f-content").fill("Бьёт")
            await page.locator("#competence button").press("Enter")  # before a draft of it is kept
            await expect(page.locator("#helps .history")).to_contain_text("внутренних дел: 102")
            await expect(panel.locator("#f-content")).to_have_value("Бьёт")
            await expect(panel.locator("[data-fold=bodies]")).to_have_count(0)
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "203"):
            await expect(page.locator("[data-rings]")).to_be_visible()
            await expect(page.locator("#helps > *")).to_have_count(0)  # it was of another appeal
        await leave(site, "203")
