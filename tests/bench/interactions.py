"""Interactions of the workspace in Chromium: from a key or click to the frame that shows it."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from playwright.async_api import Page

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.identity.permissions import Role
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from tests.bench.results import table
from tests.browser.chromium import LIMIT, actor, open_browser
from tests.browser.page_checks import WIDE
from tests.browser.site import Served, open_site, session_of
from tests.orders import command_server
from tests.postgres import new_server
from tests.services import new_database, redis_server
from tests.web.conftest import open_call

CONSULTANT = "202"
LINE = "line-1"  # the controller of its calls
IS_HELD = "document.querySelector('[data-on=held]').getAttribute('aria-pressed') === 'true'"
GOAL, GOAL_OF_OFFER = 100.0, 300.0  # milliseconds
OFFER = "an offer is on the screen (server)"
#: Begins at the next key or press, and ends after the first frame in which the condition holds.
ARM = """(shown) => {
  const holds = new Function(`return ${shown}`);
  window.took = new Promise((done) => {
    const begin = (event) => {
      window.began = performance.timeOrigin + event.timeStamp;
      removeEventListener("keydown", begin, true);
      removeEventListener("pointerdown", begin, true);
      const look = () => {
        if (!holds()) return requestAnimationFrame(look);
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => done(performance.now() - event.timeStamp);
        port2.postMessage(null); // after this frame is painted
      };
      requestAnimationFrame(look);
    };
    addEventListener("keydown", begin, true);
    addEventListener("pointerdown", begin, true);
  });
}"""
#: The moment of the first frame that shows a ringing call, in milliseconds since the epoch.
RINGS = """() => new Promise((done) => {
  const look = () => {
    if (!document.querySelector("[data-rings]")) return requestAnimationFrame(look);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.timeOrigin + performance.now());
    port2.postMessage(null); // after this frame is painted
  };
  look();
})"""
EMPTY = """<button id="empty" onclick="document.title = ++window.count">.</button>
<script>window.count = 0; window.seen = 0;</script>"""
#: Milliseconds from a request for a page to its first frame with something in it.
PAINTED = """() => new Promise((done) => {
  const look = () => {
    const [painted] = performance.getEntriesByName("first-contentful-paint");
    if (painted) done(painted.startTime);
    else requestAnimationFrame(look);
  };
  look();
})"""


class Conversation:
    """The controller's end of a call, which is held or not; notes when it was ordered so."""

    def __init__(self) -> None:
        self.is_held = False
        self.ordered_at = 0.0  #: in epoch seconds

    async def take(self, _call: str, command: CallCommand) -> Answer:
        """Carry an order out, and answer how the call stands."""
        if command.what == "hold_or_resume":
            self.is_held = not self.is_held
            self.ordered_at = time.time()
        return {
            "caller": "aside" if self.is_held else "here",
            "muted": "no",
            "guest": "none",
            "urgent": "",
        }


async def took(page: Page, shown: str, act: Callable[[], Awaitable[None]]) -> float:
    """Milliseconds from what `act` presses to the frame in which `shown`, JavaScript, is true."""
    await page.evaluate(ARM, shown)
    await act()
    return float(await page.evaluate("window.took"))


async def interactions(times: int) -> str:
    """A row for each interaction: p50 and p95 of so many, and p50 as a multiple of the baseline."""
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cc-")))
        server = new_server(folder / "pg")
        server.start()
        stack.callback(server.cleanup)
        database = stack.enter_context(new_database(folder / "pg"))
        redis = stack.enter_context(redis_server(folder))
        site = await stack.enter_async_context(open_site(folder / "site", database, redis))
        browser = await stack.enter_async_context(open_browser())
        context = await browser.new_context(base_url=site.origin, viewport=WIDE, locale="ru")
        context.set_default_timeout(LIMIT)
        empty = await context.new_page()
        await empty.set_content(EMPTY)
        token = await session_of(site.engine, Role.CONSULTANT, CONSULTANT)
        host = urlsplit(site.origin).hostname
        cookies = {"callcenter": token, "callcenter_language": "ru"}
        await context.add_cookies(
            [{"name": k, "value": v, "domain": host, "path": "/"} for k, v in cookies.items()]
        )
        page, beside = await context.new_page(), await context.new_page()
        conversation = Conversation()
        running = asyncio.create_task(command_server(site.redis, LINE, conversation.take).run())
        stack.callback(running.cancel)
        for number in range(times):
            await empty.bring_to_front()
            ms = await took(empty, "window.count > window.seen", lambda: empty.click("#empty"))
            await empty.evaluate("window.seen = window.count")
            found.setdefault(BASELINE, []).append(ms)
            await beside.bring_to_front()
            await beside.goto("/search")
            found.setdefault("search opened (server)", []).append(await beside.evaluate(PAINTED))
            await page.bring_to_front()
            async for name, ms in _work(site, page, f"bench-{number}", conversation):
                found.setdefault(name, []).append(ms)
    return shown(found)


async def _work(
    site: Served, page: Page, call_id: str, conversation: Conversation
) -> AsyncIterator[tuple[str, float]]:
    """One call from its answer to its disposition; what a consultant presses, and its time."""
    _, number = await open_call(site.engine, call_id, datetime.now(UTC))
    await actor(page, "/workspace")
    presence = PresenceService(site.redis, site.settings)
    await presence.ask(CONSULTANT, PresenceState.READY, by="self", page=True)
    target = TransferTarget(CONSULTANT)
    async with site.distributor.place(call_id, "ru", urgent=True, target=target) as place:
        rings = asyncio.create_task(page.evaluate(RINGS))
        assert await place.wait_for_offer(20) is not None
        offered_at = 1000 * time.time()
        place.mark_ringing()
        yield OFFER, await rings - offered_at
        place.mark_answered()
        await page.locator(f"#appeal-panel[data-number='{number}']").wait_for()
        await page.locator("#call").wait_for()
        held = await took(page, IS_HELD, partial(press, page, "Alt+1"))
        ordered: float = 1000 * conversation.ordered_at - await page.evaluate("window.began")
        yield "an order has come to the controller (server)", ordered
        yield "the caller is on hold (server)", held
        yield "and back (server)", await took(page, f"!({IS_HELD})", partial(press, page, "Alt+1"))
        for name, shows, act in (
            (
                "guide open for the first time (server)",
                "!document.querySelector('#guide [hx-get], #guide:not([open])')",
                partial(press, page, "?"),
            ),
            (
                "guide closed",
                "!document.getElementById('guide').open",
                partial(press, page, "Escape"),
            ),
            (
                "guide open again",
                "document.getElementById('guide').open",
                partial(press, page, "?"),
            ),
            (
                "guide closed",
                "!document.getElementById('guide').open",
                partial(press, page, "Escape"),
            ),
            (
                "a fold opens",
                "document.querySelector('[data-fold=more]').open",
                partial(press, page, "1"),
            ),
            (
                "a topic is chosen",
                "document.getElementById('f-topics').value !== ''",
                partial(press_in, page, "#f-topics", "ArrowDown"),
            ),
            (
                "my day (server)",
                "document.querySelector('.loaded dd') !== null",
                partial(press, page, "Alt+d"),
            ),
            (
                "colleagues (server)",
                "document.querySelector('#call .loaded label, #call .loaded p') !== null",
                partial(press, page, "Alt+3"),
            ),
            (
                "help is asked for (server)",
                "document.querySelector('#refusal .good') !== null",
                partial(press, page, "Alt+h"),
            ),
            (
                "record saved (server)",
                "document.querySelector('.draft').textContent.includes('Сделано')",
                partial(press, page, "Control+s"),
            ),
            (
                "list of dispositions",
                "document.querySelector('[data-fold=no-request]').open",
                partial(press, page, "Alt+n"),
            ),
            (
                "closed by a disposition (server)",
                "document.querySelector('[data-stage=no_request]') !== null",
                partial(press, page, "1"),
            ),
        ):
            yield name, await took(page, shows, act)
    await presence.ask(CONSULTANT, PresenceState.SIGNED_OUT, by="self")


async def press(page: Page, key: str) -> None:
    await page.keyboard.press(key)


async def press_in(page: Page, field: str, key: str) -> None:
    await page.locator(field).press(key)


BASELINE = "an empty page's click"


def shown(found: dict[str, list[float]]) -> str:
    """The table."""
    base = median(found[BASELINE])
    rows: list[tuple[str, ...]] = [("interaction", "p50, ms", "p95, ms", "of the baseline", "")]
    for name, times in found.items():
        middle, late = median(times), quantiles(times, n=20, method="inclusive")[-1]
        goal = GOAL_OF_OFFER if name == OFFER else GOAL
        verdict = "" if late < goal else f"above {goal:g} ms"
        rows.append((name, f"{middle:.0f}", f"{late:.0f}", f"{middle / base:.1f}", verdict))
    return table(rows)
