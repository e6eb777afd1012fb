"""The telephone in the page, with real callers: field complaint 30."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Error, Page, Route, expect

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import why_no_calls
from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.telephony.acd.distributor import PLAIN_RULES
from tests.browser.chromium import LIMIT, actor, is_wider_than_its_window, serious_faults
from tests.browser.page_checks import WIDE
from tests.browser.softphone import Workplace, hear_each_other, is_in, open_workplace
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE
from tests.calls.talking import THIRD_PARTY_TONE, hears_no_tone, hears_tone, longest_silence
from tests.polling import require_within, until
from tests.services import new_database

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOUD_IN_ALL = -45.0  # over a whole recording
REATTACHED = 1.5  # seconds: until a page that goes has said so, and while sound changes its way

ABSENT = "telephone_not_registered: None"
NO_MICROPHONE = """navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException("there is none", "NotFoundError");
};"""
#: So many connections do not believe that the other side is who it is.
NO_SOUND = """let calls = 0;
const set = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (told) {
  const sdp = told.sdp.replace(/a=ice-pwd:./g, "a=ice-pwd:x");
  return set.call(this, calls++ >= %d ? told : { type: told.type, sdp });
};"""
#: The end of a call comes a second late, as behind what follows it.
LATE_BYE = """const heard = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
Object.defineProperty(WebSocket.prototype, "onmessage", {
  ...heard,
  set(taken) {
    heard.set.call(this, (event) => {
      const late = String(event.data).startsWith("BYE ") ? 1000 : 0;
      if (late) setTimeout(() => taken(event), late);
      else taken(event);
    });
  },
});"""

#: Keeps to what record the page leads in each state of the telephone, and how often it rang.
WATCH_RECORDS = """() => {
  window.offered = new Set();
  window.bells = 0;
  const { start } = OscillatorNode.prototype;
  OscillatorNode.prototype.start = function () {
    window.bells++;
    start.call(this);
  };
  const look = () => {
    const panel = document.getElementById("appeal-panel");
    const shown = document.getElementById("telephone").dataset.shown;
    window.offered.add(`${shown} ${panel?.dataset.number}`);
  };
  new MutationObserver(look).observe(document.body, {
    subtree: true, childList: true, attributes: true,
  });
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(
    short_folder: Path,
    postgres: Path,
    redis_url: str,
    built_prompts: Path,
) -> AsyncIterator[Workplace]:
    with new_database(postgres) as database:
        folder, redis = short_folder / "telephone", f"{redis_url}?db=5"
        async with open_workplace(folder, built_prompts, database, redis) as workplace:
            yield workplace


@pytest_asyncio.fixture(loop_scope="session")
async def workplace(opened: Workplace) -> AsyncIterator[Workplace]:
    await opened.call_center.awake()
    yield opened
    await opened.call_center.assert_no_resources_left()


@asynccontextmanager
async def conversation(workplace: Workplace, page: Page, number: str) -> AsyncIterator[SipCall]:
    """Somebody who has called and talks with the consultant of the page."""
    await is_in(page, "ready")
    async with workplace.call_center.caller(number) as caller:
        await caller.press("11")
        await is_in(page, "ringing")
        await page.keyboard.press("Alt+8")
        caller.send_tone(CALLER_TONE)
        await hear_each_other(page, caller)
        yield caller


async def test_both_hear_each_other_and_the_recording_has_both(
    workplace: Workplace, pytestconfig: pytest.Config
) -> None:
    call_center, number = workplace.call_center, "+77013000001"
    async with workplace.page() as page, conversation(workplace, page, number) as caller:
        # Hold, and back, asked of the line by the page, which stays as it is.
        await expect(page.locator("#call")).to_be_visible()
        assert await serious_faults(page) == []
        assert not await is_wider_than_its_window(page)
        if folder := pytestconfig.getoption("pictures"):
            await page.get_by_text("Microphone and headphones").click()
            await page.screenshot(
                path=Path(folder) / "telephone.png", full_page=True, caret="initial"
            )
        await page.keyboard.press("Alt+1")
        await hears_no_tone(caller, CONSULTANT_TONE)
        await expect(page.locator("#caller")).to_contain_text("The caller hears music")
        assert await serious_faults(page) == []
        await page.keyboard.press("Alt+1")
        await hear_each_other(page, caller)
        await page.keyboard.press("Alt+9")
        await is_in(page, "ready")
        await caller.ended()
    [recording] = await call_center.recordings(await call_center.appeal(number))
    left, right = call_center.recorded(recording)
    assert loudness(left, CALLER_TONE) > LOUD_IN_ALL
    assert loudness(right, CONSULTANT_TONE) > LOUD_IN_ALL


async def test_the_offered_record_is_always_that_of_the_call(
    workplace: Workplace,
) -> None:
    number, next_number = "+77013000007", "+77013000008"
    async with workplace.page() as page:
        async with conversation(workplace, page, number) as caller:
            appeal = await workplace.call_center.live_appeal(number)
            assert appeal is not None
            own = appeal.number
            panel = page.locator(f"#appeal-panel[data-number='{own}']")
            await expect(panel).to_be_visible()
            await page.keyboard.press("Alt+0")  # the first question has the focus
            await expect(page.locator("#kind")).to_be_focused()
            await page.keyboard.type("Consultation")
            await page.locator("[name='f.content']").fill("about a grant")
            await hear_each_other(page, caller)
            await page.keyboard.press("Alt+9")
            await is_in(page, "ready")
            await caller.ended()
        await expect(page.locator("[data-call]")).to_have_count(0)
        await expect(panel).to_be_visible()
        # From the first ring of the next call on nothing leads to the caller before.
        await page.evaluate(WATCH_RECORDS)
        async with conversation(workplace, page, next_number):
            appeal = await workplace.call_center.live_appeal(next_number)
            assert appeal is not None
            opened = page.locator(f"#appeal-panel[data-number='{appeal.number}']")
            await expect(opened).to_be_visible()
            await expect(page.locator("[name='f.content']")).to_have_value("")
            assert await page.evaluate("window.bells") == 1
            seen = await page.evaluate("() => [...window.offered]")
            assert f"ringing {own}" not in seen
            assert f"talking {own}" not in seen
            assert f"talking {appeal.number}" in seen
            await page.keyboard.press("Alt+9")
            await is_in(page, "ready")
        # What was typed at the first is a draft by now.
        await actor(page, f"/appeals/{own}")
        await expect(page.locator("[name='f.content']")).to_have_value("about a grant")


async def test_the_panel_stays_while_its_caller_is_called(workplace: Workplace) -> None:
    call_center, number = workplace.call_center, "+77013000014"
    async with workplace.page() as page:
        async with conversation(workplace, page, number) as caller:
            await page.keyboard.press("Alt+9")
            await is_in(page, "ready")
            await caller.ended()
        appeal = await call_center.appeal(number)
        panel = page.locator(f"#appeal-panel[data-number='{appeal.number}']")
        await panel.locator("summary", has_text="Call about this appeal").click()
        await page.evaluate(WATCH_RECORDS)
        async with call_center.network(number) as network:
            await panel.get_by_role("button", name="Call: Who got in touch").press("Enter")
            await is_in(page, "ringing")
            await page.keyboard.press("Alt+8")
            applicant = await network.next_call()
            await applicant.answer()
            applicant.send_tone(CALLER_TONE)
            await hear_each_other(page, applicant)
            await page.keyboard.press("Alt+9")
            await is_in(page, "ready")
            await applicant.ended()
        assert await page.evaluate("() => [...window.offered].sort()") == [
            f"{state} {appeal.number}" for state in ("ready", "ringing", "talking")
        ]
    assert "reached" in await call_center.moments(appeal)


async def test_a_key_alone_types_and_with_alt_acts(workplace: Workplace) -> None:
    async with workplace.page() as page, conversation(workplace, page, "+77013000009") as caller:
        held, muted = page.locator("[data-on=held]"), page.locator("[data-on=muted]")
        await expect(page.locator("#call")).to_be_visible()
        await page.locator("#appeal-title").click()  # nothing has the focus
        await page.keyboard.type("7729")
        await is_in(page, "talking")
        await page.keyboard.press("Alt+3")
        await page.locator("#to").focus()
        await page.keyboard.type("102")
        await expect(page.locator("#to")).to_have_value("102")
        await page.keyboard.press("Alt+2")  # also while something is typed
        await expect(muted).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("[data-call]")).to_contain_text("Your microphone is off.")
        assert await serious_faults(page) == []
        await expect(held).to_have_attribute("aria-pressed", "false")
        await hears_no_tone(caller, CONSULTANT_TONE)
        await page.keyboard.press("Alt+2")
        await expect(muted).to_have_attribute("aria-pressed", "false")
        await hear_each_other(page, caller)
        await page.keyboard.press("Alt+9")
        await is_in(page, "ready")


async def test_a_call_is_given_to_a_colleague_who_is_chosen(
    workplace: Workplace, pytestconfig: pytest.Config
) -> None:
    async with (
        workplace.page() as page,
        conversation(workplace, page, "+77013000011") as caller,
        workplace.call_center.consultant("204") as other,
    ):
        await page.set_viewport_size(WIDE)
        await page.keyboard.press("Alt+3")
        colleague = page.locator("#to-204")
        await expect(colleague).to_be_visible()
        await colleague.focus()
        await page.keyboard.press("Space")
        await serious_free(page, pytestconfig, "transfer")
        await page.get_by_role("button", name="Ask a consultant first").press("Enter")
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await expect(page.locator("#third-party")).to_be_visible()
        await page.keyboard.press("Alt+5")
        await hears_tone(caller, THIRD_PARTY_TONE)
        await leg.hang_up()


async def test_an_emergency_service_joins_by_one_press(
    workplace: Workplace, pytestconfig: pytest.Config
) -> None:
    async with (
        workplace.page() as page,
        conversation(workplace, page, "+77013000012") as caller,
        workplace.call_center.network("102") as network,
    ):
        await page.set_viewport_size(WIDE)
        await page.keyboard.press("Alt+e")
        await page.locator("summary", has_text="102").press("Enter")
        await serious_free(page, pytestconfig, "emergency")
        await page.get_by_role("button", name="Yes, call 102").press("Enter")
        service = await network.next_call()
        await service.answer()
        service.send_tone(THIRD_PARTY_TONE)
        await hears_tone(caller, THIRD_PARTY_TONE)  # without a press more
        await hears_tone(caller, CONSULTANT_TONE)
        await expect(page.locator("#caller")).to_contain_text("All three are connected.")
        assert await serious_faults(page) == []
        await page.keyboard.press("Alt+9")
        await is_in(page, "ready")


async def serious_free(page: Page, pytestconfig: pytest.Config, name: str) -> None:
    """It can be used by everybody as it stands; a picture of it, where wanted."""
    assert await serious_faults(page) == []
    if folder := pytestconfig.getoption("pictures"):
        await page.screenshot(path=Path(folder) / f"workspace-{name}.png", caret="initial")


async def test_keys_that_are_typed_reach_the_line(workplace: Workplace) -> None:
    async with workplace.page() as page, conversation(workplace, page, "+77013000002") as caller:
        await page.locator("#keypad summary").click()
        await page.locator("#keys").focus()
        await page.keyboard.type("*5", delay=200)
        await hears_no_tone(caller, CONSULTANT_TONE)
        await page.get_by_role("button", name="*", exact=True).click()
        await page.get_by_role("button", name="5", exact=True).click()
        await hear_each_other(page, caller)


async def test_a_page_that_is_loaded_anew_gets_its_conversation_back(workplace: Workplace) -> None:
    number = "+77013000003"
    async with workplace.page() as page, conversation(workplace, page, number) as caller:
        since = time.monotonic()
        await page.reload()
        await hear_each_other(page, caller)
        # Nobody but the two heard anything else: the caller had music, and was not called lost.
        require_within(longest_silence(caller, since), REATTACHED, "silence")
        await page.keyboard.press("Alt+9")
        await caller.ended()
    appeal = await workplace.call_center.appeal(number)
    assert appeal.outcome == "talked"
    assert "consultant_lost" not in await workplace.call_center.moments(appeal)


async def test_a_crashed_browser_gets_call_and_draft_back(workplace: Workplace) -> None:
    number = "+77013000015"
    async with workplace.page() as page, conversation(workplace, page, number) as caller:
        written, stored = page.locator("#f-content"), page.locator(".draft")
        await written.fill("Кричит ребёнок")
        await expect(stored).to_contain_text("Draft saved at")
        cookies = {each["name"]: each["value"] for each in await page.context.cookies()}
        with suppress(Error):
            await page.goto("chrome://crash")
        async with workplace.window(cookies) as again:
            await actor(again, "/workspace")
            telephone = again.locator("#telephone")
            await expect(telephone).to_have_attribute("data-shown", re.compile("ringing|talking"))
            # Too late on a busy machine: the caller waits before all others by now, and rings.
            if await again.locator("#answer:focus").count():
                await again.keyboard.press("Alt+8")
            await hear_each_other(again, caller)
            await expect(again.locator("#f-content")).to_have_value("Кричит ребёнок")
            await expect(again.locator("[data-discard]")).to_be_visible()
            await again.keyboard.press("Alt+9")
            await caller.ended()


async def test_a_closed_page_gives_its_caller_up_and_gets_none(
    workplace: Workplace,
) -> None:
    call_center, number = workplace.call_center, "+77013000004"
    async with (
        workplace.page() as page,
        conversation(workplace, page, number) as caller,
        call_center.consultant("204") as other,
    ):
        since = time.monotonic()
        await page.close()
        await call_center.hears(caller, "kk", "consultant_lost")
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await hears_tone(caller, THIRD_PARTY_TONE)
        require_within(longest_silence(caller, since), REATTACHED, "silence")
        assert await why_nobody(workplace, "201") == ABSENT
        await leg.hang_up()


async def test_a_sleeping_page_gets_no_offer_and_says_why(
    workplace: Workplace,
) -> None:
    async def offered() -> bool:
        return await why_nobody(workplace, "201") is None

    async with workplace.page() as page:
        await is_in(page, "ready")
        await until(offered, "201 is offered calls")
        tools = await page.context.new_cdp_session(page)
        await tools.send("Debugger.enable")
        await tools.send("Debugger.pause")  # at the next thing that happens, for as long as wanted

        async def reported() -> bool:
            return await why_nobody(workplace, "201") == ABSENT

        await until(reported, "201 is known to be away", limit=40)
        await tools.send("Debugger.disable")
        await page.reload()
        await is_in(page, "ready")
        await until(offered, "201 is offered calls again")


async def test_without_a_microphone_nobody_is_offered(workplace: Workplace) -> None:
    async with workplace.page(before=NO_MICROPHONE) as page:
        await is_in(page, "silent")
        assert await why_nobody(workplace, "201") == ABSENT


@asynccontextmanager
async def mended_conversation(workplace: Workplace, page: Page, number: str) -> AsyncIterator[None]:
    """A caller and this page, whose first call had no sound."""
    async with workplace.call_center.caller(number) as caller:
        await caller.press("0")
        await is_in(page, "ringing")
        await page.keyboard.press("Alt+8")
        await expect(page.locator("[data-sound=connected]")).to_be_visible()
        caller.send_tone(CALLER_TONE)
        await hear_each_other(page, caller)
        yield


async def test_a_call_through_which_no_sound_goes_is_made_again(workplace: Workplace) -> None:
    async with workplace.page(before=NO_SOUND % 1) as page:
        await is_in(page, "ready")
        async with mended_conversation(workplace, page, "+77013000005"):
            await expect(page.locator("#broken")).to_be_hidden()


async def test_a_call_made_again_may_overtake_the_end_it_replaces(workplace: Workplace) -> None:
    async with workplace.page(before=NO_SOUND % 1 + LATE_BYE) as page:
        await is_in(page, "ready")
        async with mended_conversation(workplace, page, "+77013000008"):
            assert "guest_failed" not in await workplace.call_center.story("+77013000008")


async def test_after_a_call_made_again_the_next_rings(workplace: Workplace) -> None:
    """The answer to the request for it may come when the call made again is long answered."""
    is_answered, is_passed_on = asyncio.Event(), asyncio.Event()

    async def pass_on_late(route: Route) -> None:
        response = await route.fetch()
        await is_answered.wait()
        await route.fulfill(response=response)
        is_passed_on.set()

    async with workplace.page(before=NO_SOUND % 1) as page:
        await page.route("**/workspace/call/ring_again", pass_on_late)
        await is_in(page, "ready")
        async with mended_conversation(workplace, page, "+77013000009"):
            is_answered.set()
            await asyncio.wait_for(is_passed_on.wait(), LIMIT / 1000)
        await is_in(page, "ready")
        async with workplace.call_center.caller("+77013000010") as caller:
            await caller.press("0")
            await is_in(page, "ringing")
            rang_at: float = await page.evaluate("performance.now()")

            async def has_rung() -> bool:
                now: float = await page.evaluate("performance.now()")
                return now > rang_at + 1500

            await until(has_rung, "it has rung for a while")
            await is_in(page, "ringing")
        await is_in(page, "ready")


async def test_who_cannot_be_heard_twice_loses_the_caller_to_another(workplace: Workplace) -> None:
    async with workplace.page(before=NO_SOUND % 9) as page:
        await is_in(page, "ready")
        async with workplace.call_center.caller("+77013000006") as caller:
            await caller.press("0")
            await is_in(page, "ringing")
            await page.keyboard.press("Alt+8")
            async with workplace.call_center.consultant("204") as other:
                await workplace.call_center.hears(caller, "kk", "consultant_lost", LIMIT / 1000)
                await is_in(page, "deaf")
                leg = await other.next_call()
                await leg.answer()
                leg.send_tone(THIRD_PARTY_TONE)
                await hears_tone(caller, THIRD_PARTY_TONE)
                await leg.hang_up()


async def test_a_second_window_waits_until_the_first_is_closed(workplace: Workplace) -> None:
    async with workplace.page() as page:
        await is_in(page, "ready")
        second = await page.context.new_page()
        await actor(second, "/workspace")
        await is_in(second, "elsewhere")
        await page.close()
        await is_in(second, "ready")


async def test_a_second_window_takes_the_telephone_on_request(workplace: Workplace) -> None:
    async with workplace.page() as page:
        await is_in(page, "ready")
        second = await page.context.new_page()
        await actor(second, "/workspace")
        await is_in(second, "elsewhere")
        await expect(second.locator("#opened-at")).to_have_text(re.compile(r"\d\d:\d\d"))
        take_over = second.get_by_role("button", name="Take calls in this window")
        async with conversation(workplace, page, "+77013000021") as caller:
            await expect(second.get_by_text("A call is there")).to_be_visible()
            await expect(take_over).to_be_hidden()
            await page.keyboard.press("Alt+9")
            await caller.ended()
        assert await serious_faults(second) == []
        await take_over.click()
        await is_in(second, "ready")
        await is_in(page, "elsewhere")
        async with conversation(workplace, second, "+77013000022") as caller:
            await second.keyboard.press("Alt+9")
            await caller.ended()
        await page.get_by_role("button", name="Take calls in this window").click()
        await is_in(page, "ready")


async def why_nobody(workplace: Workplace, extension: str) -> str | None:
    status = await PresenceService(workplace.call_center.redis, PLAIN_RULES).of(extension)
    why = why_no_calls(status)
    return why and f"{why}: {status.reason}"
