"""What people do all day, done by the keyboard alone."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.async_api import FilePayload, Page, Route, expect

from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.page_checks import look_at
from tests.browser.site import BUSY, Served
from tests.browser.test_errors import REFUSED
from tests.demands.conftest import PDF
from tests.web.conftest import PASSWORD, RECEIVED, add_user, open_call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def type_into(page: Page, words: str) -> None:
    await page.keyboard.type(words)


async def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until whatever has this name has the focus."""
    button = page.get_by_role("button", name=name, exact=True)
    expected = page.get_by_label(name, exact=True).or_(button).first
    for _ in range(400):  # rows of other tests too
        if await expected.evaluate("(element) => element === document.activeElement"):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"Tab does not lead to {name}")


async def twice(page: Page, name: str) -> None:
    """What discloses or ends something is asked once more before it is done."""
    summary = page.locator("summary", has_text=name)
    await expect(page.locator("details", has=summary).locator("form")).to_be_hidden()
    await summary.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")


async def test_signing_in(open_page: Open, site: Served) -> None:
    user = await add_user(site.engine, "keyboard", Role.CONSULTANT)
    async with open_page(language="en") as page:
        await actor(page, "/sign-in")
        await expect(page.locator("[autofocus]")).to_be_focused()  # it comes with the first picture
        await type_into(page, user.name)
        await page.keyboard.press("Tab")
        await type_into(page, PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_a_record_is_filled_in_and_saved(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, f"/appeals/{site.registered}")
        await page.keyboard.press("1")  # what is rarely needed is folded
        # Districts of all regions are offered until one is chosen, then those of that one.
        offered = page.locator("#f-district-options option:not(:disabled)")
        await page.locator("#f-district").scroll_into_view_if_needed()  # they are loaded then
        await expect(offered).to_have_count(228)
        await tab_to(page, "Region", "Shift+Tab")
        await type_into(page, "Asta")
        await expect(offered).to_have_count(6)
        await tab_to(page, "District")
        await type_into(page, "Nura district")
        # Kept as it is typed, before anybody saves.
        await expect(page.locator(".draft")).to_contain_text("Draft saved at")
        await page.keyboard.press("Control+s")
        await expect(page.locator(".history")).to_contain_text("District: Nura district")
        await expect(page.locator("[name='f.district']")).to_have_value("Nura district")
        # It is still open, and has the focus. Esc leaves the field, then the page.
        await expect(page.locator("[name='f.district']")).to_be_focused()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await page.wait_for_url("**/search")


async def test_a_further_person_is_written_down(open_page: Open, site: Served) -> None:
    _, number = await open_call(site.engine, "further-person", RECEIVED)
    async with open_page(Role.CONSULTANT, "en") as page:
        await actor(page, f"/appeals/{number}")
        await page.locator("[data-fold=people] > summary").press("Enter")
        who = page.locator("[data-fold=people] details", has_text="Representative")
        for _ in range(3):  # opened again, its questions stay as they are
            await who.locator("summary").press("Enter")
        await page.locator("#f-representative-name").press_sequentially("Ким Сауле")
        await page.keyboard.press("Control+s")
        fold = page.locator("[data-fold=person-representative] > summary")
        await expect(fold).to_contain_text("Ким Сауле")


async def test_what_is_typed_of_a_further_person_outlives_an_answer(
    open_page: Open, site: Served
) -> None:
    _, number = await open_call(site.engine, "typed-meanwhile", RECEIVED)
    async with open_page(Role.CONSULTANT, "en") as page:
        await actor(page, f"/appeals/{number}")
        await page.locator("#f-content").fill("Спросила о пособии")
        for fold in ("people", "person-representative"):
            await page.locator(f"[data-fold={fold}] > summary").press("Enter")
        name = page.locator("#f-representative-name")
        await name.focus()
        typed = asyncio.Event()

        async def answer_once_typed(route: Route) -> None:
            await typed.wait()
            await route.continue_()

        await page.route("**/record", answer_once_typed)
        async with page.expect_request("**/record"):
            await page.keyboard.press("Control+s")
        await name.press_sequentially("Ким Сауле")
        typed.set()
        await expect(page.locator("#appeal-panel [name=version][value='1']").first).to_be_attached()
        await expect(name).to_have_value("Ким Сауле")
        await expect(name).to_be_focused()


async def test_questions_that_failed_to_load_are_loaded_again(
    open_page: Open, site: Served
) -> None:
    _, number = await open_call(site.engine, "no-questions", RECEIVED)
    async with open_page(Role.CONSULTANT, "en", forgiven="403") as page:
        await actor(page, f"/appeals/{number}")
        fold = page.locator("[data-fold=person-representative]")
        again = fold.get_by_role("button", name="Try again")
        statuses = iter((200, 403))  # of the page of sign-in, and of an error

        async def refuse(route: Route) -> None:
            await route.fulfill(status=next(statuses))

        await page.route("**/questions/*", refuse)
        for each in ("people", "person-representative"):
            await page.locator(f"[data-fold={each}] > summary").press("Enter")
        await expect(fold.get_by_role("alert")).to_contain_text("The questions did not come")
        async with page.expect_response("**/questions/*"):
            await again.press("Enter")
        await expect(fold.get_by_role("alert")).to_be_visible()
        await page.unroute("**/questions/*")
        await again.press("Enter")
        await expect(page.locator("#f-representative-name")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_was_no_request_is_opened_again(
    open_page: Open, site: Served, language: str
) -> None:
    _, number = await open_call(site.engine, f"again-{language}", RECEIVED)
    async with open_page(Role.HEAD, language) as page:
        await actor(page, f"/appeals/{number}")
        for key in ("Alt+n", "4"):
            await page.keyboard.press(key)
        await expect(page.locator("[data-stage=no_request]")).to_be_visible()
        await expect(page.locator("#f-content")).to_have_count(0)
        await look_at(page, language)
        await page.locator("#reason").focus()
        await type_into(page, "Звонила снова")
        await page.keyboard.press("Enter")
        await expect(page.locator("#appeal-panel[data-stage=contact] #f-content")).to_be_visible()


async def test_registered_people_are_named_while_a_name_is_typed(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.CONSULTANT, "en") as page:
        await actor(page, f"/appeals/{site.call.number}")
        await page.keyboard.press("2")
        await page.locator("[name='f.applicant.name']").focus()
        await type_into(page, "Seitova Aigul")
        existing = page.locator(f"#similar a[href='/appeals/{site.registered}']")
        await expect(existing).to_be_visible()


async def test_an_appeal_is_found_and_opened(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, "/search")
        search = page.locator("#q")
        await expect(search).to_be_focused()  # the page puts it there: the key adds nothing
        await page.keyboard.press("/")
        await page.keyboard.press("Escape")
        await expect(search).not_to_be_focused()
        await page.keyboard.press("/")
        await expect(search).to_be_focused()
        await type_into(page, "Сейтова")
        await page.keyboard.press("Enter")
        await expect(search).to_have_value("Сейтова")
        await expect(page.locator("[data-row]").first).to_contain_text(site.registered)
        await page.keyboard.press("Escape")  # out of the field, which has the focus anew
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/appeals/{site.registered}")


async def test_unsaved_input_is_on_a_work_list_and_opened_there(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, f"/appeals/{site.call.number}")
        await page.keyboard.press("1")
        await tab_to(page, "District")
        await type_into(page, "Алматинский")
        await expect(page.locator(".draft")).not_to_be_empty()
        await actor(page, "/work")
        drafts = page.locator("[href$='list=drafts']")
        await drafts.press("Enter")
        await expect(drafts).to_have_attribute("aria-current", "page")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/appeals/{site.call.number}")
        await expect(page.locator("[name='f.district']")).to_have_value("Алматинский")
        # Discarded, with what is typed just now: the page does not keep it once more as it goes.
        await page.keyboard.press("1")
        await tab_to(page, "District")
        await type_into(page, " район")
        await page.locator("summary", has_text="Discard what was typed").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-discard]")).to_have_count(0)
        for _ in range(2):
            await expect(page.locator("[name='f.district']")).to_have_value("")
            await actor(page, f"/appeals/{site.call.number}")


async def test_a_consultant_goes_on_and_off_duty(open_page: Open) -> None:
    async with open_page(Role.CONSULTANT, "en", extension="202") as page:
        await actor(page, "/workspace")
        state, caller = page.locator("#state"), page.locator("#caller")
        await tab_to(page, "Alt+T Take calls")
        await page.keyboard.press("Enter")
        await expect(caller).to_contain_text("Calls are offered to you.")
        await page.keyboard.press("p")  # a letter alone may be typed by mistake
        first = page.locator(".more [name=reason]").first
        await expect(first).to_be_hidden()
        await page.keyboard.press("Alt+p")
        await expect(first).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(caller).to_contain_text("No calls are offered to you.")
        await page.keyboard.press("Alt+t")
        await expect(caller).to_contain_text("Calls are offered to you.")
        await page.keyboard.press("Alt+p")
        await tab_to(page, "End of work")
        await page.keyboard.press("Enter")
        await expect(state).to_contain_text("Signed out")


async def test_the_receipt_leads_back_to_its_record(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        record = f"/appeals/{site.registered}"
        await actor(page, f"/appeals/{site.registered}/receipt")
        # In the receipt's own language.
        await expect(page.locator("[data-back]")).to_contain_text("жолданымының")
        await page.keyboard.press("Escape")
        await page.wait_for_url(f"**{record}")


async def test_a_letter_with_alt_joins_a_conversation(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en", forgiven=f"{REFUSED}400") as page:
        await actor(page, f"/live/consultants/{BUSY}")
        await expect(page.locator("#why")).to_be_focused()
        await type_into(page, "training")
        await page.keyboard.press("Alt+1")  # of the page of work: nothing here
        async with page.expect_request("**/supervision") as sent:
            await page.keyboard.press("Alt+w")
        form = (await sent.value).post_data or ""
        assert "reason=training&mode=whisper" in form
        await expect(page.locator("main [role=alert]")).to_contain_text("no telephone here")


async def test_a_recording_is_heard(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, f"/recordings/{site.call.recording}")
        await tab_to(page, "Why you listen")
        await page.keyboard.press("ArrowDown")
        await tab_to(page, "Listen")
        await page.keyboard.press("Enter")
        play = page.locator("#play")
        await expect(play).to_be_focused()
        await expect(play).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("1")
        await expect(page.locator("[data-heard=caller]")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("+")
        await expect(page.locator("#speed")).to_have_text("1.25×")
        await expect(play).to_have_attribute("aria-pressed", "false")  # it is heard to its end
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator("#now")).to_have_text("0:00")
        await page.keyboard.press(" ")
        await expect(play).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Escape")
        await page.wait_for_url(f"**/appeals/{site.call.number}")


#: Fields of an ordinary consultation of which half lies under the bar of buttons.
COVERED = """() => {
  const bar = document.querySelector("#appeal-panel .bar").getBoundingClientRect();
  const fields = document.querySelectorAll("#appeal-panel .ordinary :is(input, select, textarea)");
  const middle = (field) => field.getBoundingClientRect().y + field.offsetHeight / 2;
  return [...fields].filter((field) => middle(field) > bar.top).map((field) => field.name);
}"""


async def test_a_consultation_fits_the_page_in_each_language(open_page: Open, site: Served) -> None:
    _, number = await open_call(site.engine, "call-fits", RECEIVED)
    for language in LANGUAGES:
        async with open_page(Role.CONSULTANT, language) as page:
            await page.set_viewport_size({"width": 1366, "height": 768})
            await actor(page, f"/appeals/{number}")
            await expect(page.locator("#appeal-panel .presets button").first).to_be_visible()
            assert await page.evaluate(COVERED) == [], language


async def test_a_consultation_is_closed_without_scrolling_or_loading(
    open_page: Open, site: Served
) -> None:
    _, number = await open_call(site.engine, "call-keyboard", RECEIVED)
    async with open_page(Role.CONSULTANT, "en") as page:
        await page.set_viewport_size({"width": 1366, "height": 768})
        await actor(page, f"/appeals/{number}")
        await page.evaluate("() => { window.stays = true; }")
        await tab_to(page, "Kind")
        await type_into(page, "Consultation")
        for field, words in (
            ("Topics", "Alim"),
            ("Region", "Asta"),
            ("Substance of the appeal", "Спросила о пособии"),
        ):
            await tab_to(page, field)
            await type_into(page, words)
        await tab_to(page, "Information and reference")
        await page.keyboard.press("Space")
        for field, words in (
            ("Decision how much help it needs", "Достаточно совета"),
            ("Reason of the decision", "Всё сказано"),
        ):
            await tab_to(page, field)
            await type_into(page, words)
        panel = page.locator("#appeal-panel")
        close = panel.get_by_role("button", name="Close", exact=True)
        await expect(close).to_be_in_viewport()
        await page.keyboard.press("Control+Enter")
        await expect(panel.locator(".badge", has_text="Closed")).to_be_visible()
        await expect(page.locator(".history")).to_contain_text("Contact → Closed")
        assert await page.evaluate("() => window.stays && scrollY === 0")


async def test_a_demand_is_registered_checked_and_released_by_two(
    open_page: Open, site: Served
) -> None:
    letter = {"letter_number": "03-2/200", "ground": "Правила, п. 6", "signatory": "А. Ахметов"}
    days = {
        "letter_date": f"{date.today() - timedelta(days=1)}",
        "received_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M}",
    }
    async with open_page(Role.RECORDS_OFFICER, "en") as page:
        await actor(page, "/demands")
        await page.locator("summary", has_text="Register a demand").press("Enter")
        for name, words in (*letter.items(), ("appeal_number", site.call.number), ("count", "3")):
            await page.locator(f"[name={name}]").focus()
            await type_into(page, words)
        for name, day in days.items():  # typed as the browser's own language has it
            await page.locator(f"[name={name}]").fill(day)
        scan = FilePayload(name="letter.pdf", mimeType="application/pdf", buffer=PDF)
        await page.locator("[name=scan]").set_input_files(scan)
        await page.locator("[name=count]").press("Enter")
        await page.wait_for_url(re.compile(r"/demands/\d\d-"))
        await expect(page.locator(".done")).to_be_visible()
        address = page.url
        # One that failed cannot be chosen, and may be the first of those that began at once.
        stored = page.get_by_role("checkbox", name="Hand over", disabled=False).first
        await tab_to(page, await stored.get_attribute("aria-label") or "")
        await page.keyboard.press("Space")
        await tab_to(page, "Reason")
        await type_into(page, "Прослушано")
        await page.keyboard.press("Enter")
        await expect(page.locator("main dl")).to_contain_text("waits for a second person")
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, "/demands")
        await twice(page, "It is the authority's: I compared it")
        unconfirmed = page.locator("summary", has_text="It is the authority's: I compared it")
        await expect(unconfirmed).to_have_count(0)
        # Other tests may have confirmed keys of their own.
        await expect(page.locator(".badge", has_text="confirmed").first).to_be_visible()
        await actor(page, address)
        await page.locator("summary", has_text="Release").press("Enter")
        await tab_to(page, "Reason")
        await type_into(page, "Разрешаю")
        await page.keyboard.press("Enter")
        await expect(page.locator("main dl")).to_contain_text("released, waits to be taken")
