"""What a page is expected to become is waited for: in vain, a limit has run out."""

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Error as PageError

from tests.gate.lateness import is_lateness

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_a_page_never_becomes_is_lateness(browser: Browser) -> None:
    page = await browser.new_page()
    try:
        with pytest.raises(AssertionError) as expected:
            await expect(page.locator("h1")).to_be_visible(timeout=10)
        with pytest.raises(PageError) as waited_for:
            await page.wait_for_selector("h1", timeout=10)
        with pytest.raises(PageError) as wrong:
            await page.evaluate("nothing.there")
    finally:
        await page.close()
    assert [is_lateness(each.value) for each in (expected, waited_for, wrong)] == [
        True,
        True,
        False,
    ]
