"""A danger sounds on the supervisors' pages, and is acknowledged without a mouse."""

import pytest
from playwright.async_api import expect

from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import OPEN, raise_alert
from callcenter.telephony.acd.alerts import NOT_RECORDED
from tests.browser.conftest import Open
from tests.browser.site import Served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

COUNT_TONES = """
const start = OscillatorNode.prototype.start;
window.tones = 0;
OscillatorNode.prototype.start = function (...moment) {
  window.tones += 1;
  return start.apply(this, moment);
};
"""


@pytest.mark.parametrize("path", ["/live", "/live/alarms"])
async def test_a_danger_sounds_after_the_first_press(open_page: Open, path: str) -> None:
    async with open_page(Role.SENIOR) as page:
        await page.add_init_script(COUNT_TONES)
        await page.goto(path)
        sound = page.get_by_role("button", name="Включить звук тревог")
        await expect(sound).to_be_visible()
        assert await page.evaluate("window.tones") == 0
        await sound.press("Enter")
        await page.wait_for_function("window.tones > 0")
        await expect(sound).to_be_hidden()
    async with open_page(Role.ADMINISTRATOR) as page:  # it is not theirs
        await page.goto(path)
        await expect(page.locator("[data-sounds]")).to_have_count(0)
        await expect(page.locator("#sound")).to_be_hidden()


async def test_a_danger_is_acknowledged_by_keys_alone(open_page: Open, site: Served) -> None:
    await raise_alert(site.redis, NOT_RECORDED, "ru", about="not_recorded:keys")
    async with open_page(Role.HEAD) as page:
        await page.goto("/live/alarms")
        await page.keyboard.press("j")  # the newest of the gravest stands first
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Приняты за последние сутки")).to_be_visible()
    assert not await site.redis.hexists(OPEN, "not_recorded:keys")
