"""What pages show when something was done or refused: in every language, and beside the field."""

import re
from datetime import date, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from callcenter.platform.core.i18n import LANGUAGES, Translator
from callcenter.platform.identity import store
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.page_checks import OPEN_ALL, look_at
from tests.browser.site import SOMEBODY, WAITS, Served
from tests.web.conftest import PASSWORD, add_user
from tests.web.test_second_factor import code

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Templates that no address alone leads to: they are looked at here.
BY_ACTIONS = frozenset(
    {
        "web/code.html",
        "web/second_factor.html",
        "web/recovery_codes.html",
        "users/invitation.html",
        "web/invitation.html",
        "users/people_links.html",
    }
)
READ_THRICE = """() => new Promise((done) => {
  let count = 0;
  const events = new EventSource("/live/queue/events");
  events.onmessage = () => {
    if (++count < 3) return;
    events.close();
    done();
  };
})"""
REFUSED = "the server responded with a status of 4"  # as the console says it


async def shows(page: Page, template: str) -> None:
    await expect(page.locator("body")).to_have_attribute("data-page", template)


async def send(form: Locator, **typed: str) -> None:
    """Fill in a form and send it by Enter, as it is: whatever the browser thinks of it."""
    for name, value in typed.items():
        await form.locator(f"[name={name}]").fill(value)
    await form.evaluate("(form) => { form.noValidate = true; form.requestSubmit(); }")


def form(page: Page, action: str) -> Locator:
    return page.locator(f"form[action='{action}']")


async def is_shown_at(page: Page, name: str) -> None:
    """What is wrong stands below the field, which has the focus and says so to who cannot see."""
    field = page.locator(f"[name={name}][aria-invalid=true]").first
    await expect(field).to_be_focused()
    reported = (await field.get_attribute("aria-describedby") or "").split()[0]
    await expect(page.locator(f"[id='{reported}']")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_second_factor_is_set_up_and_proved(
    open_page: Open, site: Served, language: str
) -> None:
    user = await add_user(site.engine, f"factor-{language}", Role.ADMINISTRATOR)
    signed_in = {"name": user.name, "password": PASSWORD}
    async with open_page(language=language, forgiven=REFUSED) as page:
        await actor(page, "/sign-in")
        await send(form(page, "/sign-in"), name=user.name, password="wrong")
        await expect(page.locator("[name=name]")).to_have_value(user.name)
        await expect(page.locator("[name=password]")).to_be_focused()
        await look_at(page, language)
        await send(form(page, "/sign-in"), **signed_in)
        await shows(page, "web/enrolment.html")
        secret = (await page.locator("code").inner_text()).replace(" ", "")
        await send(form(page, "/second-factor"), code="000")
        await is_shown_at(page, "code")
        await look_at(page, language)
        await send(form(page, "/second-factor"), code=code(secret))
        await shows(page, "web/recovery_codes.html")
        await look_at(page, language)
        await page.keyboard.press("Enter")
        await shows(page, "wallboard/live.html")
        await actor(page, "/second-factor")
        await shows(page, "web/second_factor.html")
        await look_at(page, language)
        await page.locator("form[action='/sign-out'] button").click()
        await actor(page, "/sign-in")
        await send(form(page, "/sign-in"), **signed_in)
        await shows(page, "web/code.html")
        await send(form(page, "/second-factor"), code="000")
        await shows(page, "web/code.html")
        await is_shown_at(page, "code")
        await look_at(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_somebody_is_invited_to_choose_a_password(
    open_page: Open, site: Served, language: str
) -> None:
    async with open_page(Role.ADMINISTRATOR, language, forgiven=REFUSED) as page:
        await actor(page, "/users")
        await send(form(page, "/users"), name=SOMEBODY)
        await is_shown_at(page, "name")
        await expect(page.locator("[name=name]")).to_have_value(SOMEBODY)
        await look_at(page, language)
        await actor(page, f"/users/{SOMEBODY}")
        # Nobody's password is taken away by one press.
        made = page.locator(f"form[action='/users/{SOMEBODY}/password'] button")
        await expect(made).to_be_hidden()
        await page.locator("details", has=made).locator("summary").press("Enter")
        await made.press("Enter")
        await shows(page, "users/invitation.html")
        await look_at(page, language)
        link = urlsplit(await page.locator("#link").input_value()).path
        await actor(page, link)
        await shows(page, "web/invitation.html")
        await look_at(page, language)
        await send(
            page.locator("form", has=page.locator("#new")),
            new="слишком",
            again="другое, длиннее чем надо",
        )
        await is_shown_at(page, "new")
        await look_at(page, language)


TABLE = "name;role;full_name;position\n{};auditor;Оспанова А.;аудитор\n"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_people_are_added_by_a_chosen_table(open_page: Open, language: str) -> None:
    async with open_page(Role.ADMINISTRATOR, language, forgiven=REFUSED) as page:
        for name, template in (("Ж", "users/people_table.html"), (f"table-{language}", None)):
            await actor(page, "/people-table")
            chosen = TABLE.format(name).encode("windows-1251")
            file: FilePayload = {"name": "people.csv", "mimeType": "text/csv", "buffer": chosen}
            await page.locator("#file").set_input_files(file)
            await expect(page.locator("#table")).to_have_value(TABLE.format(name))
            await page.locator("button.main").press("Enter")
            await expect(page.locator("[role=alert], [role=status]")).to_be_visible()
            await look_at(page, language)
            if template is None:
                await page.locator("[formaction='/people-table']").press("Enter")
                await shows(page, "users/people_links.html")
                await look_at(page, language)


SOON = f"{date.today() + timedelta(days=30)}"
#: A form, who fills it in, where it is, and what is typed that the server refuses.
WRONG = (
    (Role.HEAD, "/blocked", "/blocked", {"number": "102"}),
    (
        Role.HEAD,
        "/plans",
        "/plans",
        {"number": "102", "times": "по пятницам", "review_on": SOON, "note": "слушать"},
    ),
    (Role.HEAD, "/form", "/form", {"code": "Ө", "kk": "Сұрақ", "ru": "Вопрос", "en": "Question"}),
    (Role.HEAD, "/form/appeal/content", "/form/appeal/content", {"kk": " ", "ru": "Суть дела"}),
    (Role.HEAD, "/terms", "/terms", {"length": "15", "article": " ", "valid_from": "2030-01-01"}),
    (Role.HEAD, "/new-appeal", "/new-appeal", {"phone": "звонил"}),
    (Role.HEAD, "/lists", "/lists/skill", {"code": "Ө", "name_kk": "Заң", "name_ru": "Право"}),
    (Role.HEAD, "/masking", "/masking", {"days": "1", "reason": "Приказ"}),
    (Role.RECORDS_OFFICER, "/demands", "/demands", {"ground": "Правила, п. 6"}),
    (Role.RECORDS_OFFICER, "/demands", "/demand-keys", {"recipient": "age1none"}),
    (Role.AUTHORITY, "/authority/demands", "/authority/demands", {"ground": "Правила, п. 6"}),
    (Role.AUTHORITY, "/authority/demands", "/authority/keys", {"recipient": "age1none"}),
)


@pytest.mark.parametrize(("role", "path", "action", "typed"), WRONG)
async def test_a_refusal_is_shown_and_nothing_typed_is_lost(
    open_page: Open, site: Served, role: Role, path: str, action: str, typed: dict[str, str]
) -> None:
    # Each in one language: how it is said is the same in all.
    language = list(LANGUAGES)[len(action) % len(LANGUAGES)]
    async with open_page(role, language, forgiven=REFUSED) as page:
        await actor(page, path)
        await page.evaluate(OPEN_ALL)
        await send(form(page, action).last, **typed)
        await expect(page.locator("[role=alert]:visible")).not_to_have_count(0)
        for name, value in typed.items():
            if value.strip():
                field = form(page, action).last.locator(f"[name={name}]")
                await expect(field).to_have_value(value)
        await look_at(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_missing_input_is_named_beside_the_field_and_translated(
    open_page: Open, site: Served, language: str
) -> None:
    say = Translator(language)
    async with open_page(Role.HEAD, language) as page:
        await actor(page, "/terms")
        await page.locator("#length").fill("400")
        await page.locator("#length").press("Enter")
        await is_shown_at(page, "length")
        reported = page.locator(".fault")
        await expect(reported).to_have_text(
            [f"{say.plain('Not more than this:')} 365", say.plain("Fill this in.")]
        )
        await look_at(page, language)
        await page.locator("#length").fill("15")
        await expect(reported).to_have_count(1)
        await page.locator("#article").fill("76")
        await expect(reported).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_success_is_said_in_the_panel_which_stays(
    open_page: Open, site: Served, language: str
) -> None:
    async with open_page(Role.HEAD, language) as page:
        await actor(page, f"/appeals/{site.registered}")
        await page.evaluate("() => { window.stays = true; }")
        decision = page.locator("[name='f.decision']")
        await decision.fill(f"Помочь {language}")
        await decision.press("ArrowLeft")
        await page.keyboard.press("Control+s")
        await page.keyboard.type("!")  # while it is being saved
        await expect(page.locator(".history")).to_contain_text(f"Помочь {language}")
        await expect(decision).to_be_focused()
        await expect(decision).to_have_value(f"Помочь {language[0]}!{language[1]}")
        await expect(page.locator(".draft")).not_to_be_empty()
        assert await page.evaluate("() => window.stays")
        await page.keyboard.press("Control+s")
        done = page.locator(".draft", has_text=Translator(language).plain("Done."))
        await expect(done).to_be_in_viewport()
        await actor(page, f"/appeals/{site.registered}")
        await expect(done).to_have_count(0)


async def test_a_signed_out_user_sees_no_message_of_success(open_page: Open, site: Served) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, "/blocked")
        cookies = await page.context.cookies()
        token = next(each["value"] for each in cookies if each["name"] == "callcenter")
        async with unit_of_work(site.engine) as connection:
            await store.end_session(connection, token)
        await send(form(page, "/blocked"), number="+77010000001")
        await shows(page, "web/sign_in.html")
        await expect(page.locator(".done")).to_have_count(0)


async def test_a_refused_hold_is_explained_beside_its_field(open_page: Open, site: Served) -> None:
    path = f"/recordings/{site.call.recording}"
    for language in LANGUAGES:
        async with open_page(Role.HEAD, language, forgiven=REFUSED) as page:
            await actor(page, path)
            await page.evaluate(OPEN_ALL)
            await send(form(page, f"{path}/hold"), order=" ")
            await is_shown_at(page, "order")
            await look_at(page, language)


async def test_refused_joining_and_ringing_back_are_explained(
    open_page: Open, site: Served
) -> None:
    record = f"/appeals/{site.registered}/record"
    for language in LANGUAGES:
        async with open_page(Role.CONSULTANT, language, forgiven=REFUSED) as page:
            await actor(page, record)
            await page.evaluate(OPEN_ALL)
            await send(form(page, f"{record}/join"), into="1234567890", reason="Об одном")
            await is_shown_at(page, "into")
            await expect(page.locator("#whyjoin")).to_have_value("Об одном")
            await look_at(page, language)
            await actor(page, f"/appeals/{site.call.number}")
            await send(form(page, f"/appeals/{site.call.number}/ring-back"))
            await expect(page.locator("[role=alert]:visible")).to_be_visible()
            await look_at(page, language)


async def test_the_language_is_changed_without_losing_the_place(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.HEAD, "ru") as page:
        await actor(page, "/search?q=алименты+зя&stage=closed")
        await page.locator("button[name=language][value=kk]").click()
        await expect(page.locator("html")).to_have_attribute("lang", "kk")
        await expect(page.locator("#q")).to_have_value("алименты зя")
        await expect(page.locator("#stage")).to_have_value("closed")


async def test_the_menu_closes_by_escape_before_the_page_is_left(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.HEAD, "en") as page:
        await actor(page, f"/appeals/{site.call.number}")
        menu = page.locator(".more")
        await menu.locator("summary").press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Escape")
        await expect(menu).not_to_have_attribute("open", "")
        await expect(menu.locator("summary")).to_be_focused()
        await page.keyboard.press("Escape")
        await page.wait_for_url("**/search")


async def test_a_slow_press_during_danger_is_not_lost(open_page: Open) -> None:
    """The board comes anew twice a second, and with it the link that is pressed."""
    async with open_page(Role.HEAD) as page:
        await actor(page, "/live/queue")
        await page.locator("#board tr.urgent a").hover()
        await page.mouse.down()
        await page.evaluate(READ_THRICE)
        await page.mouse.up()
        await expect(page).to_have_url(re.compile(f"call={WAITS}$"))
