"""Pages of errors: what was wrong, what to do, a way back, and nothing that was typed is lost."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from callcenter.platform.core.i18n import LANGUAGES, Translator
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.page_checks import look_at
from tests.browser.site import Served, session_of
from tests.browser.test_actions import form, send, shows
from tests.web.conftest import RECEIVED, open_call

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

REFUSED = "the server responded with a status of "  # as the console says it
TYPED = "+77010000007"
LARGE = 300_000  # bytes: more than any form of ours may have

Trouble = Callable[[Page, Served], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def another_token(page: Page, site: Served) -> AsyncIterator[None]:
    """As after signing in anew in another window."""
    await page.locator("main [name=form_token]").evaluate_all(
        "(all) => all.forEach((each) => { each.value = 'x'.repeat(64); })"
    )
    yield


@asynccontextmanager
async def too_much(page: Page, site: Served) -> AsyncIterator[None]:
    await page.locator("main form").first.evaluate(
        """(form, count) => {
          const more = document.createElement("input");
          Object.assign(more, { name: "more", value: "x".repeat(count) });
          form.append(more);
        }""",
        LARGE,
    )
    yield


@asynccontextmanager
async def no_table(page: Page, site: Served) -> AsyncIterator[None]:
    """A fault of ours: the code and the database do not fit."""
    rename = "ALTER TABLE {} RENAME TO {}"
    async with unit_of_work(site.engine) as connection:
        await connection.exec_driver_sql(rename.format("blocked_number", "away"))
    try:
        yield
    finally:
        async with unit_of_work(site.engine) as connection:
            await connection.exec_driver_sql(rename.format("away", "blocked_number"))


@asynccontextmanager
async def no_answer(page: Page, site: Served) -> AsyncIterator[None]:
    """The database does not answer in time."""
    async with unit_of_work(site.engine) as connection:
        await connection.exec_driver_sql("LOCK TABLE blocked_number IN ACCESS EXCLUSIVE MODE")
        yield


TROUBLES: tuple[tuple[int, Trouble, str], ...] = (
    (403, another_token, "If you have done this before, the page was open for too long"),
    (413, too_much, "Nothing of it was taken in."),
    (500, no_table, "The problem is on our side and has been recorded."),
    (503, no_answer, "A part of the service does not respond."),
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("status", "trouble", "reported"), TROUBLES)
async def test_a_failure_is_shown_and_typed_values_stay(
    open_page: Open,
    site: Served,
    pytestconfig: pytest.Config,
    language: str,
    status: int,
    trouble: Trouble,
    reported: str,
) -> None:
    folder = pytestconfig.getoption("pictures")
    picture = Path(folder) / f"error-{status}-{language}" if folder else None
    async with open_page(Role.HEAD, language, forgiven=f"{REFUSED}{status}") as page:
        await actor(page, "/blocked")
        async with trouble(page, site):
            await page.locator("#hours").select_option(index=1)
            async with page.expect_response("**/blocked") as sent:
                await send(form(page, "/blocked"), number=TYPED)
            assert (await sent.value).status == status
            await shows(page, "web/error.html")
        if language == "en":
            await expect(page.locator("main")).to_contain_text(reported)
        await expect(page.locator("[data-restored]")).to_be_visible()
        await look_at(page, language, picture)
        await page.keyboard.press("Escape")  # the menu was opened to be looked at
        await page.keyboard.press("Escape")
        await shows(page, "blocklist/blocked.html")
        await expect(page.locator("#number")).to_have_value(TYPED)
        assert await page.locator("#hours").evaluate("(each) => each.selectedIndex") == 1
        again = Translator(language).plain(
            "What you typed stands in its fields again. It is not sent yet."
        )
        await expect(page.locator("[role=status]", has_text=again)).to_be_in_viewport()
        await look_at(page, language)
        # Once: who comes again later begins anew.
        await actor(page, "/blocked")
        await expect(page.locator("#number")).to_have_value("")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_page_that_cannot_be_read_is_tried_again(
    open_page: Open, site: Served, language: str
) -> None:
    async with open_page(Role.HEAD, language, forgiven=f"{REFUSED}500") as page:
        async with no_table(page, site):
            await actor(page, "/blocked")
            await shows(page, "web/error.html")
            await look_at(page, language)
        await page.locator("main a[href='/blocked']").press("Enter")
        await shows(page, "blocklist/blocked.html")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_who_comes_too_late_learns_it_where_they_are(
    open_page: Open, site: Served, language: str
) -> None:
    _, number = await open_call(site.engine, f"late-{language}", RECEIVED)
    async with open_page(Role.HEAD, language, forgiven=f"{REFUSED}409") as page:
        await actor(page, f"/appeals/{number}")
        other = await page.context.new_page()
        await actor(other, f"/appeals/{number}")
        for each in (other, page):
            await each.locator("[data-fold=no-request] summary").click()
            await each.locator("[name=disposition]").first.click()
            await expect(each.locator("[data-stage=no_request]")).to_be_visible()
        await expect(page.locator("#appeal-panel [role=alert]")).to_be_visible()
        await look_at(page, language)
        await expect(other.locator("#appeal-panel [role=alert]")).to_have_count(0)


async def test_what_was_typed_waits_for_nobody_else(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en", forgiven=f"{REFUSED}403") as page:
        await actor(page, "/blocked")
        async with another_token(page, site):
            await send(form(page, "/blocked"), number=TYPED)
        await shows(page, "web/error.html")
        await page.locator("form[action='/sign-out'] button").press("Enter")
        await shows(page, "web/sign_in.html")
        assert TYPED not in str(await page.evaluate("JSON.stringify(sessionStorage)"))
        token = await session_of(site.engine, Role.HEAD)
        await page.context.add_cookies([{"name": "callcenter", "value": token, "url": site.origin}])
        await actor(page, "/blocked")
        await expect(page.locator("#number")).to_have_value("")
