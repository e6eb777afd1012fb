"""Leaving the portal quickly in a browser: one press, and Back shows nothing of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Error, Page, Route, expect
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as PageRoute

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import Settings
from callcenter.platform.web.server import PageServer, configure, listen
from callcenter.portal.pages import FORM_SIZE_LIMIT
from tests.browser.chromium import LIMIT, open_browser
from tests.browser.test_portal import NARROW, serving
from tests.intake.messages import TEXT, rows
from tests.polling import until
from tests.portal.conftest import sealed_to_intake
from tests.services import changed

__all__ = ["sealed_to_intake"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: A flag of the driver's. Without it the browser holds whole pages for Back, as those of people do.
HOLDS_NO_PAGES = "--disable-back-forward-cache"
ADDRESS, WORDS = "location.href", "document.querySelector('textarea')?.value"


@asynccontextmanager
async def serving_other() -> AsyncIterator[str]:
    """The address of a site that is not ours, and has any page within the block."""
    port = free_port()

    async def show(_request: Request) -> Response:
        return HTMLResponse("<title>Weather</title><h1>-5</h1>")

    with listen("127.0.0.1", port, "") as listener:
        app = Starlette(routes=[PageRoute("/{path:path}", show)])
        server = PageServer(configure(app), lambda: None, lambda: None)
        server.capture_signals = nullcontext  # type: ignore[assignment,method-assign]
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.handle_exit(15, None)
            await task


@dataclass
class Visit:
    """A visit to the portal, in a tab that has shown the other site before.

    It is seen by the tab's own session: the driver loses pages that were held.
    """

    page: Page
    tab: CDPSession
    portal: str
    other: str

    @property
    def before(self) -> list[str]:
        """The history before it."""
        return ["about:blank", f"{self.other}/before"]

    @property
    def weather(self) -> str:
        return f"{self.other}/weather"

    async def history(self) -> list[str]:
        """The addresses of the tab, backward and forward."""
        found = await self.tab.send("Page.getNavigationHistory")
        return [each["url"] for each in found["entries"]]

    async def go_back(self) -> None:
        """Press Back, until what is there is shown."""
        found = await self.tab.send("Page.getNavigationHistory")
        entry = found["entries"][found["currentIndex"] - 1]
        await self.tab.send("Page.navigateToHistoryEntry", {"entryId": entry["id"]})

        async def is_there() -> bool:
            with suppress(Error):  # while one page takes the place of another
                now = await self.tab.send("Page.getNavigationHistory")
                is_back = now["currentIndex"] == found["currentIndex"] - 1
                return bool(is_back and await self.look("document.readyState") == "complete")
            return False

        await until(is_there, "what Back leads to is shown")

    async def look(self, expression: str) -> Any:
        """The value of an expression in what is shown; None while another page comes."""
        with suppress(Error):
            found = await self.tab.send("Runtime.evaluate", {"expression": expression})
            return found["result"].get("value")

    async def is_left(self) -> bool:
        """Whether the other site is shown."""
        return bool(await self.look(ADDRESS) == self.weather)

    async def open_form(self) -> None:
        await self.page.locator("main button").first.click()
        await expect(self.page.locator("textarea")).to_be_visible()
        await self.page.locator("textarea").fill(TEXT)

    async def send(self) -> list[str]:
        """Open and send the form; the receipt."""
        await self.open_form()
        await self.page.locator("#message > button").click()
        shown: str = await self.page.locator(".receipt").inner_text()
        return shown.splitlines()

    async def open_own_words(self) -> None:
        """Send the form, and open it by its receipt."""
        number, words = await self.send()
        await self.page.locator("main a").click()
        await self.page.locator("main a").click()
        await self.page.locator("[name=number]").fill(number)
        await self.page.locator("[name=words]").fill(words)
        await self.page.locator("main button").click()
        await expect(self.page.locator(".own")).to_have_text(TEXT)

    async def leave(self) -> None:
        """Press "Leave quickly", until the other site is shown."""
        await self.page.locator(".leave").click()
        await until(self.is_left, "the other site is shown")


@pytest_asyncio.fixture(loop_scope="session")
async def holding() -> AsyncIterator[Browser]:
    """A browser that holds whole pages for Back, of a test's own: its driver loses track of it."""
    async with open_browser(without=[HOLDS_NO_PAGES]) as browser:
        yield browser


Begin = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture
def visiting(settings: Settings, database: str, sealed_to_intake: None, browser: Browser) -> Begin:
    """`async with visiting(in_browser, scripts=...) as visit`: the first page is shown."""

    @asynccontextmanager
    async def begin(in_browser: Browser = browser, *, scripts: bool = True) -> AsyncIterator[Visit]:
        async with serving_other() as other:
            ours = changed(settings, portal_exit_url=f"{other}/weather")
            async with serving(ours) as portal:
                context = await in_browser.new_context(
                    viewport=NARROW, locale="ru", java_script_enabled=scripts
                )
                context.set_default_timeout(LIMIT)
                try:
                    page = await context.new_page()
                    await page.goto(f"{other}/before")
                    await page.goto(f"{portal}/")
                    yield Visit(page, await context.new_cdp_session(page), portal, other)
                finally:
                    await context.close()

    return begin


@pytest.mark.parametrize("go_on", [Visit.send, Visit.open_own_words])
async def test_leaving_takes_the_place_of_the_whole_visit(
    visiting: Begin, engine: AsyncEngine, go_on: Callable[[Visit], Any]
) -> None:
    async with visiting() as visit:
        await go_on(visit)
        await visit.leave()
        assert await visit.history() == [*visit.before, visit.weather]
        await visit.go_back()
        assert await visit.look(ADDRESS) == visit.before[-1]
        assert await visit.history() == [*visit.before, visit.weather]
        assert await visit.page.context.storage_state() == {"cookies": [], "origins": []}
        await until(lambda: is_noted(engine), "that somebody left is noted")


async def is_noted(engine: AsyncEngine) -> bool:
    """Whether it is noted that the writer of the one message left."""
    return await rows(engine, "SELECT count(left_at) FROM portal_message") == [(1,)]


async def test_no_page_is_shown_after_leaving(visiting: Begin, engine: AsyncEngine) -> None:
    """Send, somebody comes in, leave: and the other site does not answer."""
    async with visiting() as visit:
        await visit.open_form()
        sends = asyncio.Event()
        await visit.page.route(f"{visit.portal}/ru", lambda request: hold(request, sends))
        await visit.page.route(visit.weather, lambda request: request.fulfill(status=204))
        async with visit.page.expect_request_finished(lambda each: each.url.endswith("/ru")):
            await visit.page.locator("#message > button").click()
            async with visit.page.expect_request(visit.weather):
                await visit.page.locator(".leave").click()
            sends.set()
        # What is asked for later is answered later.
        await visit.page.evaluate("fetch('/page.css').then((answer) => answer.text())")
        assert await visit.look(f"document.documentElement.innerText + {ADDRESS}") == (
            f"{visit.portal}/"
        )
        assert await rows(engine, "SELECT count(*) FROM portal_message") == [(1,)]


async def test_what_is_being_sent_arrives_after_leaving(
    visiting: Begin, engine: AsyncEngine
) -> None:
    async with visiting() as visit:
        await visit.open_form()
        sends = asyncio.Event()
        await visit.page.route(f"{visit.portal}/ru", lambda request: hold(request, sends))
        await visit.page.locator("#message > button").click()
        await visit.leave()
        sends.set()

        async def is_there() -> bool:
            return await rows(engine, "SELECT count(*) FROM portal_message") == [(1,)]

        await until(is_there, "the message is there")


async def hold(request: Route, until_set: asyncio.Event) -> None:
    """Let a request of a page go on once this is set."""
    await until_set.wait()
    await request.continue_()


async def test_what_is_too_long_stays_in_the_form(visiting: Begin) -> None:
    async with visiting() as visit:
        await visit.open_form()
        long = "я" * FORM_SIZE_LIMIT
        await visit.page.locator("textarea").fill(long)
        await visit.page.locator("#message > button").click()
        await expect(visit.page.locator("#failed")).to_contain_text("слишком длинн")
        assert await visit.look(f"{WORDS}.length") == len(long)
        # Nor is it pulled away with the page, nor hidden below the line on top.
        style = "getComputedStyle(document.documentElement)"
        assert await visit.look(f"{style}.overscrollBehaviorY") == "none"
        assert await visit.look(f"{style}.scrollPaddingTop") != "auto"


async def test_without_scripts_back_asks_before_it_sends_again(
    visiting: Begin, holding: Browser
) -> None:
    """The first page says so: whoever answers yes sees what was opened last."""
    async with visiting(holding, scripts=False) as visit:
        await expect(visit.page.locator(".unscripted")).to_be_visible()
        receipt = await visit.send()
        await visit.leave()
        ours = [f"{visit.portal}{path}" for path in ("/", "/ru", "/ru")]
        assert await visit.history() == [*visit.before, *ours, visit.weather]
        await visit.go_back()
        assert await visit.look(ADDRESS) == "chrome-error://chromewebdata/"
        await visit.tab.send("Page.reload")  # yes

        async def is_shown() -> bool:
            shown = await visit.look("document.querySelector('.receipt')?.innerText")
            return bool(shown and shown.splitlines() == receipt)

        await until(is_shown, "the receipt is shown again")
        for _ in range(2):
            await visit.go_back()
        assert await visit.look(ADDRESS) == f"{visit.portal}/"
        assert (
            await visit.look(
                "document.querySelectorAll('textarea, input:not([type=hidden])').length"
            )
            == 0
        )


async def test_without_scripts_a_held_form_is_let_go_of(
    visiting: Begin, holding: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    async with visiting(holding, scripts=False) as visit:

        async def is_let_go() -> bool:
            """Whether Back shows it empty: it is let go of a moment after the answer."""
            caplog.clear()
            await visit.page.goto(f"{visit.portal}/ru")
            await visit.page.locator("textarea").fill(TEXT)
            await visit.leave()
            await until(lambda: "POST 204" in caplog.text, "the portal knows of it")
            await visit.go_back()
            assert await visit.look(ADDRESS) == f"{visit.portal}/ru"
            return bool(await visit.look(WORDS) == "")

        with caplog.at_level("INFO", "callcenter.portal.pages"):
            await until(is_let_go, "a held form is let go of")


async def test_without_scripts_that_somebody_left_is_noted(
    visiting: Begin, engine: AsyncEngine
) -> None:
    async with visiting(scripts=False) as visit:
        await visit.send()
        await visit.leave()
        await until(lambda: is_noted(engine), "that somebody left is noted")


async def test_the_page_is_empty_before_another_is_loaded(visiting: Begin) -> None:
    async with visiting() as visit:
        await expect(visit.page.locator(".unscripted")).to_be_hidden()
        await visit.open_form()
        press = "document.querySelector('.leave').click()"
        assert await visit.look(f"{press}; document.documentElement.innerText") == ""
        await until(visit.is_left, "the other site is shown")


async def test_going_elsewhere_leaves_no_words_for_back(visiting: Begin, holding: Browser) -> None:
    async with visiting(holding) as visit:
        await visit.page.goto(f"{visit.portal}/ru")  # pages that a script has fetched are not held
        await visit.page.locator("textarea").fill(TEXT)
        await visit.page.goto(f"{visit.other}/elsewhere")
        await visit.go_back()
        assert await visit.look(ADDRESS) == f"{visit.portal}/ru"
        assert not await visit.look(WORDS)


@pytest.mark.parametrize(
    "keys",
    [["Shift", "Shift"], ["ShiftLeft+ShiftRight"]],  # the two at once, too
)
async def test_shift_three_times_leaves(visiting: Begin, keys: list[str]) -> None:
    async with visiting() as visit:
        await visit.open_form()
        for key in keys:
            await expect(visit.page.locator(".exit [role=status]")).to_be_empty()
            await visit.page.keyboard.press(key)
        await expect(visit.page.locator(".exit [role=status]")).to_have_text(
            "Ещё раз Shift, и вы уйдёте"
        )
        await visit.page.keyboard.press("Shift")
        await until(visit.is_left, "the other site is shown")
        assert await visit.history() == [*visit.before, visit.weather]


async def test_who_types_or_chooses_a_language_stays(visiting: Begin) -> None:
    async with visiting() as visit:
        await visit.open_form()
        keyboard, words = visit.page.keyboard, visit.page.locator("textarea")
        for _ in range(4):
            await keyboard.press("Shift+KeyA")
        for held in ("Alt", "Control"):
            await keyboard.down(held)
            for _ in range(4):
                await keyboard.press("Shift")
            await keyboard.up(held)
        for _ in range(4):
            await keyboard.down("Shift")
            await words.click()
            await keyboard.up("Shift")
        for _ in range(4):  # held, it repeats itself
            await keyboard.down("Shift")
        assert await visit.look(WORDS) == f"{TEXT}AAAA"


async def test_without_the_portal_words_stay_and_leaving_works(visiting: Begin) -> None:
    async with visiting() as visit:
        await visit.open_form()
        await visit.page.route(f"{visit.portal}/**", lambda request: request.abort())
        await visit.page.locator("#message > button").click()
        await expect(visit.page.locator("#failed")).to_be_visible()
        assert await visit.look(WORDS) == TEXT
        await visit.page.unroute_all()
        await visit.page.locator("#message > button").click()
        await expect(visit.page.locator(".receipt")).to_be_visible()
        await visit.page.route(f"{visit.portal}/**", lambda request: request.abort())
        await visit.leave()
