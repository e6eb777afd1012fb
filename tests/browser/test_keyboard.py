"""What people do all day, done by the keyboard alone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.async_api import FilePayload, Page, expect

from callcenter.web.permissions import Role
from tests.browser.chromium import visit
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.demands.conftest import PDF
from tests.web.conftest import PASSWORD, RECEIVED, add_user, open_call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def type_into(page: Page, words: str) -> None:
    await page.keyboard.type(words)


async def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until whatever has this name has the focus."""
    button = page.get_by_role("button", name=name, exact=True)
    wanted = page.get_by_label(name, exact=True).or_(button).first
    for _ in range(120):
        if await wanted.evaluate("(element) => element === document.activeElement"):
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
        await visit(page, "/sign-in")
        await expect(page.locator("[autofocus]")).to_be_focused()  # it comes with the first picture
        await type_into(page, user.name)
        await page.keyboard.press("Tab")
        await type_into(page, PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_a_record_is_filled_in_and_saved(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await visit(page, f"/appeals/{site.registered}/record")
        # Districts of all regions are offered until one is chosen, then those of that one.
        offered = page.locator("#f-district-known option:not(:disabled)")
        await expect(offered).to_have_count(228)
        await tab_to(page, "Region")
        await type_into(page, "Asta")
        await expect(offered).to_have_count(6)
        await tab_to(page, "District")
        await type_into(page, "Nura district")
        # Kept as it is typed, before anybody saves.
        await expect(page.locator(".kept")).not_to_be_empty()
        await page.keyboard.press("Control+s")
        await expect(page.locator(".history")).to_contain_text("District: Nura district")
        await expect(page.locator("[name='f.district']")).to_have_value("Nura district")
        # Esc leaves the field, then the page.
        await tab_to(page, "District")
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await page.wait_for_url(f"**/appeals/{site.registered}")


async def test_who_is_known_already_is_told_while_the_name_is_typed(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.CONSULTANT, "en") as page:
        await visit(page, f"/appeals/{site.call.number}/record")
        await page.locator("[name='f.applicant.name']").focus()
        await type_into(page, "Seitova Aigul")
        known = page.locator(f"#similar a[href='/appeals/{site.registered}/record']")
        await expect(known).to_be_visible()


async def test_an_appeal_is_found_and_opened(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await visit(page, "/search")
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await type_into(page, site.registered)
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-row]")).to_have_count(1)
        await page.keyboard.press("Escape")  # out of the field, which has the focus anew
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/appeals/{site.registered}/record")


async def test_what_was_typed_and_not_saved_is_on_a_work_list_and_opened_from_it(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await visit(page, f"/appeals/{site.call.number}/record")
        await tab_to(page, "District")
        await type_into(page, "Алматинский")
        await expect(page.locator(".kept")).not_to_be_empty()
        await visit(page, "/work")
        drafts = page.locator("[href$='list=drafts']")
        await page.keyboard.press(await drafts.get_attribute("data-digit") or "")
        await expect(drafts).to_have_attribute("aria-current", "page")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/appeals/{site.call.number}/record")
        await expect(page.locator("[name='f.district']")).to_have_value("Алматинский")
        # Discarded, with what is typed just now: the page does not keep it once more as it goes.
        await tab_to(page, "District")
        await type_into(page, " район")
        await page.locator("summary", has_text="Discard what was typed").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-discard]")).to_have_count(0)
        for _ in range(2):
            await expect(page.locator("[name='f.district']")).to_have_value("")
            await visit(page, f"/appeals/{site.call.number}/record")


async def test_a_consultant_goes_on_and_off_duty(open_page: Open) -> None:
    async with open_page(Role.CONSULTANT, "en", extension="202") as page:
        await visit(page, "/duty")
        # It is the first thing after the link that leads past the sections.
        for key in ("Tab", "Enter", "Tab"):
            await page.keyboard.press(key)
        await expect(page.locator("[value=ready]")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#board")).to_contain_text("Calls are offered to you.")
        await page.keyboard.press("p")
        await expect(page.locator("#reason")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#board")).to_contain_text("No calls are offered to you.")
        await page.keyboard.press("t")
        await expect(page.locator("#board")).to_contain_text("Calls are offered to you.")
        await tab_to(page, "End of work")
        await page.keyboard.press("Enter")
        await expect(page.locator("#board .big")).to_contain_text("Signed out")


async def test_the_receipt_leads_back_to_its_record(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        record = f"/appeals/{site.registered}/record"
        await visit(page, f"/appeals/{site.registered}/receipt")
        await expect(page.locator("[data-back]")).to_contain_text("өтінішінің")  # its own language
        await page.keyboard.press("Escape")
        await page.wait_for_url(f"**{record}")


async def test_a_recording_is_heard(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await visit(page, f"/recordings/{site.call.recording}")
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


async def test_a_consultation_is_written_down_and_closed(open_page: Open, site: Served) -> None:
    _, number = await open_call(site.engine, "call-keyboard", RECEIVED)
    async with open_page(Role.CONSULTANT, "en") as page:
        await visit(page, f"/appeals/{number}/record")
        await tab_to(page, "Kind")
        await type_into(page, "Consultation")
        for field, words in (
            ("Substance of the appeal", "Спросила о пособии"),
            ("Decision how much help it needs", "Достаточно совета"),
            ("Reason of the decision", "Всё сказано"),
        ):
            await tab_to(page, field)
            await type_into(page, words)
        await tab_to(page, "Information and reference", "Shift+Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Control+s")
        await expect(page.locator(".done")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("2")  # to what comes next
        await tab_to(page, "Close")
        await page.keyboard.press("Enter")
        await expect(page.locator("dd .badge", has_text="Closed")).to_be_visible()


async def test_a_demand_is_registered_checked_and_released_by_two(
    open_page: Open, site: Served
) -> None:
    letter = {"letter_number": "03-2/200", "ground": "Правила, п. 6", "signatory": "А. Ахметов"}
    days = {
        "letter_date": f"{date.today() - timedelta(days=1)}",
        "received_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M}",
    }
    async with open_page(Role.RECORDS_OFFICER, "en") as page:
        await visit(page, "/demands")
        await page.locator("summary", has_text="Register a demand").press("Enter")
        for name, words in (*letter.items(), ("appeal_number", site.call.number), ("count", "3")):
            await page.locator(f"[name={name}]").focus()
            await type_into(page, words)
        for name, day in days.items():  # typed as the browser's own language has it
            await page.locator(f"[name={name}]").fill(day)
        scan = FilePayload(name="letter.pdf", mimeType="application/pdf", buffer=PDF)
        await page.locator("[name=scan]").set_input_files(scan)
        await page.locator("[name=count]").press("Enter")
        await page.wait_for_url("**/demands/26-*")
        await expect(page.locator(".done")).to_be_visible()
        address = page.url
        await tab_to(page, "Hand over 1")
        await page.keyboard.press("Space")
        await tab_to(page, "Reason")
        await type_into(page, "Прослушано")
        await page.keyboard.press("Enter")
        await expect(page.locator("dl")).to_contain_text("waits for a second person")
    async with open_page(Role.HEAD, "en") as page:
        await visit(page, "/demands")
        await twice(page, "It is the authority's: I compared it")
        await expect(page.locator(".badge", has_text="confirmed")).to_be_visible()
        await visit(page, address)
        await page.locator("summary", has_text="Release").press("Enter")
        await tab_to(page, "Reason")
        await type_into(page, "Разрешаю")
        await page.keyboard.press("Enter")
        await expect(page.locator("dl")).to_contain_text("released, waits to be taken")
