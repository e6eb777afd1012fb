"""The records office shows what comes while somebody looks at it."""

import pytest
from playwright.async_api import expect

from callcenter.demands import service
from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.demands.conftest import OFFICER, demand_form

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_a_new_demand_appears_and_the_focus_stays(open_page: Open, site: Served) -> None:
    async with open_page(Role.RECORDS_OFFICER, "ru") as page:
        await actor(page, "/records-office")
        await page.locator(f"#demand-{site.demand}").focus()
        row = await service.register(site.engine, OFFICER, demand_form(letter_number="03-2/300"))
        await expect(page.locator(f"#demand-{row.number}")).to_be_visible(timeout=30_000)
        await expect(page.locator(f"#demand-{site.demand}")).to_be_focused()
