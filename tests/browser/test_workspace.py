"""The workspace in a browser: what a consultant sees from the first ring on, and does by keys."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Page, Route, expect
from sqlalchemy import insert, select, update

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.tables import record, record_draft
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.tables import consultant
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisQueuePlace
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from tests.browser.chromium import actor, is_wider_than_its_window, serious_faults
from tests.browser.conftest import Open
from tests.browser.page_checks import LARGE, WIDE, foreign_words, look_at
from tests.browser.site import Served
from tests.browser.test_keyboard import COVERED
from tests.intake.messages import change, message, receive, rows
from tests.web.conftest import open_call

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANGUAGES = {"en": "Russian", "kk": "Орысша", "ru": "Русский"}
ALIMONY = {"en": "Alimony", "kk": "Алимент", "ru": "Алименты"}
#: Notes when it was first to be seen that it rings, and what the desktop was told.
WATCH = """() => {
  window.rangAt = null;
  window.notices = [];
  document.hasFocus = () => false; // it looks at something else
  const Plain = window.Notification;
  window.Notification = class extends Plain {
    constructor(title, options) {
      super(title, options);
      window.notices.push(options.body);
    }
  };
  new MutationObserver(() => {
    if (document.querySelector("[data-rings]")) window.rangAt ??= Date.now();
  }).observe(document.body, { subtree: true, childList: true });
}"""

Show = Callable[[Page, str], Awaitable[None]]


@pytest.fixture
def show(pytestconfig: pytest.Config) -> Show:
    """Takes a picture of a state, where pictures are wanted."""

    async def show(page: Page, name: str) -> None:
        if folder := pytestconfig.getoption("pictures"):
            for size in (LARGE, WIDE):
                await page.set_viewport_size(size)
                file = Path(folder) / f"workspace-{name}-{size['width']}.png"
                # To hide the caret it would put styles in, which the page refuses.
                await page.screenshot(path=file, caret="initial")

    return show


@dataclass(frozen=True)
class Rung:
    """A call that is offered: masked number, its appeal and an earlier one."""

    place: RedisQueuePlace
    appeal_id: UUID
    shown: str
    appeal: str
    earlier: str


@asynccontextmanager
async def rung(site: Served, extension: str) -> AsyncIterator[Rung]:
    """A caller in danger, who speaks Russian and called before, is offered to this consultant."""
    now, digits = datetime.now(UTC), f"{uuid4().int % 10_000_000:07}"
    call_id = f"ring-{digits}"
    before_id, before = await open_call(site.engine, f"{call_id}-0", now - timedelta(days=9))
    appeal_id, number = await open_call(site.engine, call_id, now - timedelta(seconds=20))
    async with unit_of_work(site.engine) as connection:
        values = {"language": "ru", "urgent": ["danger"], "caller_number": f"+7705{digits}"}
        query = update(appeal).where(appeal.c.id.in_((before_id, appeal_id)))
        await connection.execute(query.values(values))
        topics = {"topics": ["family_alimony"]}
        written = {"version": 1, "stage": "closed", "kind": "consultation", "content": topics}
        await connection.execute(
            insert(record).values(appeal_id=before_id, **written, changed_at=now)
        )
    target = TransferTarget(extension)
    async with site.distributor.place(call_id, "ru", urgent=True, target=target) as place:
        assert await place.wait_for_offer(20) is not None
        yield Rung(place, appeal_id, f"+7 705 *** ** {digits[-2:]}", number, before)


async def leave(site: Served, extension: str) -> None:
    presence = PresenceService(site.redis, site.settings)
    await presence.ask(extension, PresenceState.SIGNED_OUT, by="self")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_call_is_on_the_page_from_its_first_ring(
    open_page: Open, site: Served, show: Show, language: str
) -> None:
    async with open_page(Role.CONSULTANT, language, extension="202") as page:
        await page.context.grant_permissions(["notifications"], origin=site.origin)
        await page.set_viewport_size(WIDE)
        await actor(page, "/")
        await page.wait_for_url("**/workspace")  # sign-in leads there
        await show(page, f"signed-out-{language}")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        await show(page, f"free-{language}")
        await page.evaluate(WATCH)
        before = time.time()
        async with rung(site, "202") as call:
            rings = page.locator("[data-rings]")
            await expect(rings).to_contain_text(LANGUAGES[language])
            rang_at: float = await page.evaluate("window.rangAt")
            print(f"\nfrom the offer to the page: {rang_at - before * 1000:.0f} ms")  # noqa: T201
            assert (await page.title()).startswith("☎")
            assert await page.evaluate("window.notices.length") == 1
            notice: str = await page.evaluate("window.notices[0]")
            assert LANGUAGES[language] in notice
            assert "705" not in notice
            await expect(page.locator("#caller")).to_contain_text(call.shown)
            bar = page.locator("#state")
            await expect(bar.locator(".badge.bad").first).to_be_visible()
            await expect(bar.locator("[data-language=ru]")).to_have_text(LANGUAGES[language])
            await expect(bar.locator("[role=timer]")).to_have_text(re.compile(r"0:\d\d"))
            earlier = page.locator(f"#help a[href='/appeals/{call.earlier}']")
            await expect(earlier).to_be_visible()
            await expect(page.locator("#help .contacts")).to_contain_text(ALIMONY[language])
            await show(page, f"rings-{language}")
            await look_at(page, language)
        await leave(site, "202")
        await expect(page.locator("[data-rings]")).to_have_count(0)
        assert not (await page.title()).startswith("☎")


async def test_after_a_call_the_next_waits_as_long_as_needed(
    open_page: Open, site: Served, show: Show
) -> None:
    async with open_page(Role.CONSULTANT, "ru", extension="201", forgiven="400") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "201") as call:
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(panel).to_be_visible()
        left = page.locator("[data-left]")
        await expect(left).to_be_visible()
        first = await seconds_left(page)
        assert 0 < first <= site.settings.wrap_up
        await page.keyboard.press("Alt+l")
        await expect(left).to_contain_text("1:")
        assert await seconds_left(page) > first
        await expect(panel).to_be_visible()  # it is still written
        await page.keyboard.press("Alt+d")
        await expect(page.locator(".loaded dd").first).to_have_text("0")
        await show(page, "wrap-up-ru")
        for _ in range(5):  # until the limit of the center
            await page.keyboard.press("Alt+l")
        await expect(page.locator("#refusal [role=alert]")).to_be_visible()
        await look_at(page, "ru")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        await leave(site, "201")


async def test_an_unsaved_record_holds_the_next_call_back(
    open_page: Open, site: Served, show: Show
) -> None:
    async with open_page(Role.CONSULTANT, "ru", extension="201") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "201") as call:
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(panel).to_be_visible()
            await give_to(site, call.appeal_id, "201")
            await panel.locator("#f-content").fill("Спросила о пособии")
            await expect(panel.locator(".draft")).not_to_be_empty()
        await expect(page.locator("[data-held]")).to_be_visible()
        assert await seconds_left(page) > site.settings.wrap_up
        await expect(page.locator("#caller .message")).to_contain_text("не сохранена")
        await expect(page.locator(".recover")).to_be_visible()  # the caller was in danger
        await show(page, "wrap-up-unsaved-ru")
        await page.keyboard.press("Control+s")
        await expect(page.locator("[data-left]:not([data-held])")).to_be_visible()
        await expect(page.locator("#caller .message")).to_have_count(0)
        await give_to(site, call.appeal_id, None)  # other tests count the calls of the day
        await leave(site, "201")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_is_written_is_offered_and_read_by_one_key(
    open_page: Open, site: Served, show: Show, language: str
) -> None:
    async with open_page(Role.CONSULTANT, language, extension="202") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        sent = message(str(uuid4()), is_urgent=True, text="Меня запирают дома")
        number = (await receive(site.engine, site.settings, sent)).number
        await expect(page.locator(f"[data-opens='{number}']")).to_be_visible()
        assert (await page.title()).startswith("✉")
        await show(page, f"written-offered-{language}")
        await page.keyboard.press("Alt+m")
        panel = page.locator(f"#appeal-panel[data-number='{number}']")
        await expect(panel).to_be_visible()
        await expect(page.locator("#helps .as-written")).to_have_text("Меня запирают дома")
        await expect(page.locator("#written [data-offered]")).to_have_count(0)
        await show(page, f"written-read-{language}")
        await look_at(page, language)
        await page.set_viewport_size(WIDE)
        async with rung(site, "202") as call:  # a call wins: its appeal alone is open
            call.place.mark_answered()
            await expect(
                page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            ).to_be_visible()
            await expect(page.locator("#written button")).to_have_count(0)
        await leave(site, "202")
        await expect(page.locator("[data-group=signed_out]")).to_be_visible()
        await page.keyboard.press("Alt+m")
        await expect(panel).to_be_visible()
    await change(site.engine, "UPDATE written_contact SET done_at = now(), done_by = 'user:a'")


async def test_what_is_written_is_read_once_it_is_shown(open_page: Open, site: Served) -> None:
    read = (
        "SELECT count(*) FROM written_contact WHERE urgent AND done_at IS NULL AND read_at < now()"
    )
    held, released = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        held.set()
        await released.wait()
        await route.continue_()

    async with open_page(Role.CONSULTANT, "ru", extension="202", forgiven="the console") as page:
        # It says there that a panel is wanted no more, too.
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        sent = message(str(uuid4()), is_urgent=True)
        number = (await receive(site.engine, site.settings, sent)).number
        panel = page.locator(f"#appeal-panel[data-number='{number}']")
        offered = page.locator(f"[data-offered] [data-opens='{number}']")
        await expect(offered).to_be_visible()
        await page.route("**/panel", lambda route: route.fulfill(status=502))
        await page.keyboard.press("Alt+m")
        await expect(page.locator("#refusal [role=alert]")).to_contain_text("Не выполнено")
        assert await rows(site.engine, read) == [(0,)]
        await page.unroute("**/panel")
        await page.route(f"**/{number}/panel", hold)
        await page.keyboard.press("Alt+m")
        await held.wait()
        async with rung(site, "202"):
            await expect(page.locator("[data-rings]")).to_be_visible()
            async with page.expect_response(f"**/{number}/panel"):
                released.set()
            await expect(page.locator("[data-offered]")).to_have_count(0)
            await expect(panel).to_have_count(0)
            assert await rows(site.engine, read) == [(0,)]
        await expect(offered).to_be_visible()  # as before
        for event in (held, released):
            event.clear()
        await page.keyboard.press("Alt+m")
        await held.wait()
        await page.keyboard.press("Alt+m")  # pressed twice
        released.set()
        await expect(panel).to_be_visible()
        await expect(page.locator("#refusal [role=alert]")).to_have_count(0)
        await expect(page.locator("#helps form[action$='/written/done']")).to_be_visible()
        assert await rows(site.engine, read) == [(1,)]
        await expect(page.locator("#appeal-panel")).to_have_count(1)
        further = message(str(uuid4()), is_urgent=True, joins=number, text="Скорее")
        await receive(site.engine, site.settings, further)
        await expect(offered).to_be_visible()
        for event in (held, released):
            event.clear()
        await page.keyboard.press("Alt+m")
        await held.wait()
        async with rung(site, "202") as call:
            call.place.mark_answered()
            own = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(own).to_be_visible()  # it waits for nothing else
            released.set()
            await expect(page.locator("[data-offered]")).to_have_count(0)
            await expect(own).to_be_visible()
            assert await rows(site.engine, read) == [(0,)]
        await leave(site, "202")
    await change(site.engine, "UPDATE written_contact SET done_at = now(), done_by = 'user:a'")


#: Left edges of the areas, each once: as many as stand side by side.
AREAS = """() => new Set([...document.querySelectorAll(".area")]
  .map((each) => Math.round(each.getBoundingClientRect().left))).size"""


@pytest.mark.parametrize(("width", "areas"), [(1280, 3), (1279, 2), (390, 1)])
async def test_so_many_areas_stand_side_by_side(open_page: Open, width: int, areas: int) -> None:
    async with open_page(Role.CONSULTANT, "kk", extension="203") as page:
        await page.set_viewport_size({"width": width, "height": 800})
        await actor(page, "/workspace")
        assert await page.evaluate(AREAS) == areas
        assert not await is_wider_than_its_window(page)


async def test_a_key_calls_the_supervisors_while_one_types(open_page: Open) -> None:
    async with open_page(Role.CONSULTANT, "ru", extension="203") as page:
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+d")
        await expect(page.locator(".loaded dd").first).to_be_visible()
        await page.keyboard.press("Alt+h")
        await expect(page.locator("#refusal [role=status]")).to_be_visible()


async def test_what_was_not_done_is_said_instead_of_before(open_page: Open) -> None:
    async with open_page(Role.CONSULTANT, "ru", extension="203", forgiven="502") as page:
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+h")
        await expect(page.locator("#refusal [role=status]")).to_be_visible()
        await page.route("**/workspace/help", lambda route: route.fulfill(status=502))
        await page.keyboard.press("Alt+h")
        await expect(page.locator("#refusal [role=alert]")).to_contain_text("Не выполнено")
        await expect(page.locator("#refusal [role=status]")).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_state_is_in_one_language_and_a_consultation_fits(
    open_page: Open, site: Served, show: Show, language: str
) -> None:
    async with open_page(Role.CONSULTANT, language, extension="201") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")

        async def look(name: str) -> None:
            assert foreign_words(await page.content(), language) == [], name
            assert not await is_wider_than_its_window(page), name
            assert await serious_faults(page) == [], name
            await show(page, f"{name}-{language}")

        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "201") as call:
            await expect(page.locator("[data-rings]")).to_be_visible()
            await look("ringing")
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(panel).to_be_visible()
            await expect(page.locator("[data-group=talking]")).to_be_visible()
            await look("talking-danger")
            assert await page.evaluate(COVERED) == []
            await expect(panel.locator(".bar > [name=after]")).to_be_in_viewport()
            await give_to(site, call.appeal_id, "201")
        await expect(page.locator("[data-held]")).to_be_visible()
        await look("unsaved")
        await page.keyboard.press("Alt+n")
        await expect(panel.locator("[name=disposition]").first).to_be_focused()
        await look("no-request")
        await page.keyboard.press("1")
        await expect(panel).to_have_attribute("data-stage", "no_request")
        await expect(page.locator("[data-held]")).to_have_count(0)
        await look("closed")
        await page.locator("summary[aria-keyshortcuts='Alt+P']").focus()
        await page.keyboard.press("Alt+p")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-group=paused]")).to_be_visible()
        await look("paused")
        await give_to(site, call.appeal_id, None)  # other tests count the calls of the day
        await leave(site, "201")


async def test_a_key_and_a_digit_close_what_was_no_request(
    open_page: Open, site: Served, show: Show
) -> None:
    async with open_page(Role.CONSULTANT, "kk", extension="201") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "201") as call:
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(panel).to_be_visible()
            await panel.locator("#f-content").fill("Кричал, назвался Сейтов")
            # What is rarely needed is folded, and opens by what is chosen.
            risk = panel.locator("#f-risk_self_harm")
            await expect(risk).to_be_hidden()
            await panel.locator("#kind").select_option("danger")
            await expect(risk).to_be_visible()
            await page.keyboard.press("Alt+n")
            kinds = panel.locator("[name=disposition]")
            await expect(kinds.first).to_be_focused()
            await show(page, "no-request-kk")
            await page.keyboard.press("Escape")
            await expect(kinds.first).to_be_hidden()
            await page.keyboard.press("4")  # of the page: a fold, and nothing is closed
            await expect(panel).to_have_attribute("data-stage", "contact")
            await page.keyboard.press("Alt+n")
            await expect(kinds.first).to_be_focused()
            requests: list[str] = []
            page.on("request", lambda each: requests.append(each.url))
            await page.keyboard.press("4")
            await expect(panel).to_have_attribute("data-stage", "no_request")
            # What is live is not read anew for it.
            assert [each for each in requests if "/workspace" in each] == []
        async with unit_of_work(site.engine) as connection:
            closed = select(record.c.disposition, record.c.content, record.c.sealed)
            row = await connection.execute(closed.where(record.c.appeal_id == call.appeal_id))
            assert tuple(row.one()) == ("prank", {}, None)
            drafts = select(record_draft).where(record_draft.c.appeal_id == call.appeal_id)
            assert (await connection.execute(drafts)).all() == []
        await leave(site, "201")


async def test_what_is_just_typed_goes_with_what_was_no_request(
    open_page: Open, site: Served
) -> None:
    async with open_page(Role.CONSULTANT, "ru", extension="203") as page:
        _, number = await open_call(site.engine, f"typed-{uuid4()}", datetime.now(UTC))
        drafts: list[str] = []
        page.on("request", lambda each: drafts.append(each.url) if "/draft" in each.url else None)
        await page.clock.install()
        await actor(page, f"/appeals/{number}")
        await page.locator("#f-content").fill("Кричал, назвался Сейтов")
        await page.keyboard.press("Alt+n")
        await page.keyboard.press("4")
        await expect(page.locator("#appeal-panel[data-stage=no_request]")).to_be_visible()
        already = len(drafts)  # on a slow machine one went before the press
        await page.clock.run_for(5000)
        assert len(drafts) == already


async def test_the_record_stays_when_the_call_was_given_on(open_page: Open, site: Served) -> None:
    """The colleague has the appeal then, and the register knows of a call before as one's last."""
    async with open_page(Role.CONSULTANT, "ru", extension="201") as page:
        await page.set_viewport_size(WIDE)
        await actor(page, "/workspace")
        await page.keyboard.press("Alt+t")
        await expect(page.locator("[data-group=free]")).to_be_visible()
        async with rung(site, "201") as call:
            call.place.mark_answered()
            panel = page.locator(f"#appeal-panel[data-number='{call.appeal}']")
            await expect(panel).to_be_visible()
            before_id, before = await open_call(
                site.engine, f"before-{call.appeal}", datetime.now(UTC)
            )
            await give_to(site, before_id, "201")
        await page.evaluate("() => document.dispatchEvent(new Event('outdated'))")
        await expect(page.locator(f"[data-over][data-appeal='{before}']")).to_be_attached()
        await expect(panel).to_be_visible()
        await give_to(site, before_id, None)  # other tests count the calls of the day
        await leave(site, "201")


async def give_to(site: Served, appeal_id: UUID, extension: str | None) -> None:
    """Have the appeal be of a call of this consultant; None: of nobody's."""
    own = select(consultant.c.id).where(consultant.c.extension == extension).scalar_subquery()
    query = update(appeal).where(appeal.c.id == appeal_id).values(consultant_id=own)
    async with unit_of_work(site.engine) as connection:
        await connection.execute(query)


async def test_a_question_mark_opens_the_guide_of_the_page(open_page: Open, show: Show) -> None:
    async with open_page(Role.CONSULTANT, "kk", extension="203") as page:
        await actor(page, "/workspace")
        guide = page.locator("#guide")
        await page.keyboard.press("?")
        await expect(guide).to_be_visible()
        await expect(guide).to_contain_text("Alt+E")
        assert await serious_faults(page) == []
        await show(page, "guide-kk")
        await page.keyboard.press("Escape")
        await expect(guide).to_be_hidden()
        await actor(page, "/design")
        await page.locator("#example").focus()
        await page.keyboard.type("?")  # typed
        await expect(guide).to_be_hidden()


async def seconds_left(page: Page) -> int:
    words = await page.locator("[data-left]").inner_text()
    minutes, _, seconds = words.split()[-1].partition(":")
    return 60 * int(minutes) + int(seconds)
