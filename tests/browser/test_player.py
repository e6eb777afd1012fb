"""The player of a recording: both sides are seen and heard apart, as fast as one likes."""

import asyncio

import pytest
from playwright.async_api import Page

from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.web.conftest import OF_CALLER, OF_CONSULTANT

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT = 15.0  # seconds
# Whatever goes to the loudspeakers is listened to.
EAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...which) {
  if (target instanceof AudioDestinationNode) {
    window.ear ??= new AnalyserNode(target.context, { fftSize: 8192, smoothingTimeConstant: 0 });
    connect.call(this, window.ear);
  }
  return connect.call(this, target, ...which);
};
"""
# Of these tones, those that are loud now; the others are 60 dB below.
HEARD = """
(tones) => {
  const levels = new Float32Array(ear.frequencyBinCount);
  ear.getFloatFrequencyData(levels);
  const width = ear.context.sampleRate / ear.fftSize;
  const level = (hertz) => levels[Math.round(hertz / width)];
  const most = Math.max(...tones.map(level));
  return most > -60 ? tones.filter((hertz) => level(hertz) > most - 60) : [];
}
"""
# How tall the picture of each side is, in pixels, at a share of its width; of a copy, which may be
# read as often as one likes.
TALL = """
(share) => {
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const column = copy.getImageData(Math.floor(share * width), 0, 1, height).data;
  const filled = (from, to) => {
    let found = 0;
    for (let row = Math.floor(from); row < Math.floor(to); row++) found += column[4 * row + 3] > 0;
    return found;
  };
  return [filled(0, height / 2 - 2), filled(height / 2 + 2, height)];
}
"""


async def begin(page: Page, site: Served) -> None:
    """Listen, over and over."""
    await page.add_init_script(EAR)
    await actor(page, f"/recordings/{site.call.recording}")
    await page.locator("#reason").select_option("quality")
    await page.get_by_role("button", name="Listen").click()
    await page.evaluate("() => { audio.loop = true; if (audio.paused) return audio.play(); }")


async def hears(page: Page, *expected: int) -> None:
    """Until these tones are heard, and no other."""
    async with asyncio.timeout(LIMIT):
        while await page.evaluate(HEARD, [OF_CALLER, OF_CONSULTANT]) != list(expected):
            await asyncio.sleep(0.02)


async def test_caller_and_consultant_are_heard_apart(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await begin(page, site)
        await hears(page, OF_CALLER, OF_CONSULTANT)
        await page.keyboard.press("1")
        await hears(page, OF_CALLER)
        await page.keyboard.press("3")
        await hears(page, OF_CONSULTANT)
        await page.keyboard.press("2")
        await hears(page, OF_CALLER, OF_CONSULTANT)


async def test_it_is_played_as_fast_as_is_shown(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await begin(page, site)
        for key, shown in (("+", 1.25), ("+", 1.5), ("-", 1.25), ("-", 1), ("-", 0.75)):
            await page.keyboard.press(key)
            assert await page.locator("#speed").inner_text() == f"{shown}×"
            assert await page.evaluate("audio.playbackRate") == shown


async def test_the_picture_shows_who_is_loud_and_when(open_page: Open, site: Served) -> None:
    """The caller all the time, the consultant in the second half."""
    async with open_page(Role.HEAD, "en") as page:
        await begin(page, site)
        async with asyncio.timeout(LIMIT):
            while not await page.evaluate("peaks !== null"):
                await asyncio.sleep(0.02)
        await page.evaluate("() => { audio.pause(); go(0); }")
        first, second = [await page.evaluate(TALL, share) for share in (0.25, 0.75)]
        (caller, silent), (still_caller, consultant) = first, second
        assert min(caller, still_caller, consultant) > 10 * max(silent, 1)
