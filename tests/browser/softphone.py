"""A consultant whose telephone is a page in a real Chromium, and a call center with callers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
from playwright.async_api import Browser, Page, expect

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.identity.permissions import Role
from callcenter.sipphone.audio import RATE
from callcenter.sipphone.call import SipCall
from tests.browser.chromium import LIMIT, Complaints, actor, open_browser
from tests.browser.site import running_site, session_of
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter, running_call_center
from tests.calls.talking import hears_tone
from tests.polling import until

#: Chromium speaks with the switch on this machine, and hears a file for a microphone.
MEDIA = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
)

LOUD = -60.0  # dBFS, in the page
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
class Workplace:
    """A call center, and the site that shows it."""

    call_center: CallCenter
    origin: str
    browser: Browser

    @asynccontextmanager
    async def page(self, extension: str = "201", *, before: str = "") -> AsyncIterator[Page]:
        """The page of work of a consultant who takes calls; nothing goes wrong in it.

        `before` is a script that runs before those of the page.
        """
        token = await session_of(self.call_center.engine, Role.CONSULTANT, extension)
        async with self.window({"callcenter": token}, before=before) as page:
            await actor(page, "/workspace")
            presence = PresenceService(self.call_center.redis, self.call_center.settings)
            await presence.ask(extension, PresenceState.READY, by="self", page=True)
            yield page

    @asynccontextmanager
    async def window(
        self,
        cookies: Mapping[str, str] | None = None,
        *,
        before: str = "",
        forgiven: str | None = None,
    ) -> AsyncIterator[Page]:
        """An empty window in English; nothing goes wrong in it, or in those that it opens.

        Complaints that have `forgiven` in them do not count.
        """
        context = await self.browser.new_context(base_url=self.origin, locale="en")
        context.set_default_timeout(LIMIT)
        host = urlsplit(self.origin).hostname
        brought = {"callcenter_language": "en", **(cookies or {})}
        await context.add_cookies(
            [{"name": k, "value": v, "domain": host, "path": "/"} for k, v in brought.items()]
        )
        windows: list[Complaints] = []

        def watch(page: Page) -> None:
            windows.append(Complaints(page, self.origin, self.call_center.settings.telephone))
            page.on("dialog", lambda dialog: dialog.accept())

        def complaints() -> list[str]:
            found = [each for window in windows for each in window.found]
            return [each for each in found if forgiven is None or forgiven not in each]

        context.on("page", watch)
        page = await context.new_page()
        await page.add_init_script(before)
        try:
            yield page
            assert complaints() == []
        except BaseException as error:
            error.add_note(f"the page complains of: {complaints()}")
            raise
        finally:
            await context.close()


@asynccontextmanager
async def open_workplace(
    folder: Path, prompts: Path, database_url: str, redis_url: str
) -> AsyncIterator[Workplace]:
    """A call center whose consultant 201 has the telephone in a browser, with its site."""
    async with AsyncExitStack() as stack:
        call_center = await stack.enter_async_context(
            running_call_center(
                folder,
                prompts,
                browsers=("201",),
                database_url=database_url,
                redis_url=redis_url,
                key_timeout=1.0,
                ring_timeout=5.0,
                wrap_up=0,
                silent_telephone=4,
            )
        )
        var = call_center.settings.var
        # Beside this loop, in which the controllers live: they must not stand still meanwhile.
        site = running_site(call_center.settings, var)
        origin = await asyncio.to_thread(stack.enter_context, site)
        browser = await stack.enter_async_context(open_browser(*MEDIA, microphone(var)))
        yield Workplace(call_center, origin, browser)


async def is_in(page: Page, state: str) -> None:
    """Wait until the telephone shows this state."""
    await expect(page.locator("#telephone")).to_have_attribute("data-shown", state)


async def level(page: Page, hertz: float) -> float:
    return float(await page.evaluate(LEVEL, hertz))


async def page_hears(page: Page, hertz: float) -> None:
    async def heard() -> bool:
        return await level(page, hertz) > LOUD

    await until(heard, f"the page plays a tone of {hertz:g} Hz")


async def hear_each_other(page: Page, caller: SipCall) -> None:
    await is_in(page, "talking")
    await hears_tone(caller, CONSULTANT_TONE)
    await page_hears(page, CALLER_TONE)
