"""A consultant whose telephone is a page in a real Chromium, and a house with real callers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
from playwright.async_api import Browser, Page, expect

from callcenter.demo.sound import RATE
from callcenter.web.permissions import Role
from tests.browser.chromium import Complaints, visit
from tests.browser.site import session_of
from tests.calls.house import CONSULTANT_TONE, House

#: Chromium speaks with the switch on this machine, and hears a file for a microphone.
MEDIA = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
)
LIMIT = 15_000  # milliseconds

#: How loud a tone is in what the page plays, in dBFS of the analyser.
LEVEL = """async (hertz) => {
  const stream = document.getElementById("voice").srcObject;
  if (!stream) return -200;
  if (window.heard !== stream) {
    window.heard = stream;
    window.world ??= new AudioContext();
    window.ear = new AnalyserNode(window.world, { fftSize: 8192, smoothingTimeConstant: 0 });
    window.world.createMediaStreamSource(stream).connect(window.ear);
    await window.world.resume();
  }
  const found = new Float32Array(window.ear.frequencyBinCount);
  window.ear.getFloatFrequencyData(found);
  const bin = Math.round((hertz * window.ear.fftSize) / window.world.sampleRate);
  return Math.max(-200, ...found.subarray(bin - 2, bin + 3));
}"""


def microphone(folder: Path) -> str:
    """The option that makes Chromium's microphone a voice: a tone that comes and goes."""
    seconds = np.arange(2 * RATE) / RATE
    spoken = 0.5 * np.sin(2 * np.pi * CONSULTANT_TONE * seconds) * (seconds % 0.5 < 0.4)
    file = folder / "voice.wav"
    soundfile.write(file, spoken, RATE, subtype="PCM_16")
    return f"--use-file-for-fake-audio-capture={file}"


@dataclass
class Desk:
    """A house, and the site that shows it."""

    house: House
    origin: str
    browser: Browser

    @asynccontextmanager
    async def page(self, extension: str = "201", *, before: str = "") -> AsyncIterator[Page]:
        """The page of work of a consultant; nothing goes wrong in it.

        `before` is a script that runs before those of the page.
        """
        token = await session_of(self.house.engine, Role.CONSULTANT, extension)
        context = await self.browser.new_context(base_url=self.origin, locale="en")
        context.set_default_timeout(LIMIT)
        host = urlsplit(self.origin).hostname
        cookies = {"callcenter": token, "callcenter_language": "en"}
        await context.add_cookies(
            [{"name": k, "value": v, "domain": host, "path": "/"} for k, v in cookies.items()]
        )
        page = await context.new_page()
        await page.add_init_script(before)
        telephone = self.house.settings.telephone
        complaints = Complaints(page, self.origin, telephone)
        page.on("dialog", lambda dialog: dialog.accept())
        try:
            await visit(page, "/duty")
            yield page
            assert complaints.found == []
        except BaseException as error:
            error.add_note(f"the page complains of: {complaints.found}")
            raise
        finally:
            await context.close()


async def is_in(page: Page, state: str) -> None:
    """Wait until the telephone shows this state."""
    await expect(page.locator("#telephone")).to_have_attribute("data-shown", state, timeout=LIMIT)


async def level(page: Page, hertz: float) -> float:
    return float(await page.evaluate(LEVEL, hertz))
