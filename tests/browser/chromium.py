"""The browser of this machine, and what its pages complain of. It reaches nothing but loopback."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

from callcenter.platform.core.settings import ROOT

#: Milliseconds for a page to do what it was asked: far more than it needs, for a busy machine.
LIMIT = 20_000
expect.set_options(timeout=LIMIT)

PROGRAM = "/usr/bin/chromium"  # Debian's, by `scripts/setup tests`
#: No name of another machine is ever found, and no proxy is asked.
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server")
AXE = ROOT / "callcenter/platform/web/packages/node_modules/axe-core/axe.min.js"

#: What axe-core finds that keeps somebody from working. It runs outside of the page's policy.
SERIOUS = """async (rule) => {
  const found = await axe.run(document, {
    resultTypes: ["violations"],
    ...(rule ? { runOnly: { type: "rule", values: [rule] } } : {}),
    rules: { "target-size": { enabled: !rule } }, // it is off by itself
  });
  return found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html)}`);
}"""
#: Whether the page must be moved sideways to be read.
WIDER = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"

#: Chromium breaks off what it loads when any network of the machine comes or goes.
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"


@asynccontextmanager
async def open_browser(*flags: str, without: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Chromium without a window, and `without` flags that are the driver's own."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=PROGRAM, args=[*ALONE, *flags], ignore_default_args=list(without)
        )
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What went wrong in a page: errors of scripts, refusals by the policy, strange addresses."""

    def __init__(self, page: Page, *allowed: str) -> None:
        """What a page asks begins with one of those `allowed`."""
        self.found: list[str] = []
        self._allowed = (*allowed, "data:", "blob:")
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"a script failed: {error}"))
        page.on("request", lambda request: self._requested(request.url))
        page.on("websocket", lambda socket: self._requested(socket.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and NETWORK_CHANGED not in message.text:
            self.found.append(f"the console: {message.text}")

    def _requested(self, address: str) -> None:
        if not address.startswith(self._allowed):
            self.found.append(f"it asked {address}")

    def forgive(self, part: str) -> None:
        """What was meant to happen: complaints with this in them do not count."""
        self.found = [each for each in self.found if part not in each]


async def actor(page: Page, path: str) -> Response:
    """Go there, once more if a network came or went meanwhile."""
    broken: list[str] = []

    def failed(request: Request) -> None:
        if NETWORK_CHANGED in (request.failure or ""):
            broken.append(request.url)

    page.on("requestfailed", failed)
    for _ in range(5):
        broken.clear()
        with suppress(Error):
            answer = await page.goto(path)
            if not broken and answer is not None:
                page.remove_listener("requestfailed", failed)
                return answer
    raise AssertionError(f"{path} cannot be loaded: {broken}")


async def serious_faults(page: Page, rule: str = "") -> list[str]:
    """What of the page axe-core calls serious or critical; by one of its rules alone, if named."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = await page.evaluate(SERIOUS, rule)
    return found


async def is_wider_than_its_window(page: Page) -> bool:
    return bool(await page.evaluate(WIDER))
