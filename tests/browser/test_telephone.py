"""The telephone in the page, with real callers: field complaint 30."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from callcenter.consultants.desk import PLAIN_RULES
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import why_no_calls
from callcenter.demo.call import Call
from callcenter.demo.sound import loudness
from tests.browser.chromium import (
    is_wider_than_its_window,
    open_browser,
    serious_faults,
    visit,
)
from tests.browser.site import running_site
from tests.browser.telephone import LIMIT, MEDIA, Desk, is_in, level, microphone
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, open_house, until
from tests.calls.talking import GUEST_TONE, hears_no_tone, hears_tone, longest_silence
from tests.services import new_database

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOUD = -60.0  # in the page
LOUD_IN_ALL = -45.0  # over a whole recording
REATTACHED = 1.5  # seconds: until a page that goes has said so, and while sound changes its way

AWAY = "signed_out: telephone"
NEVER_THERE = "signed_out: None"
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(
    short_folder: Path,
    postgres: Path,
    redis_url: str,
    built_prompts: Path,
) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        database = stack.enter_context(new_database(postgres))
        house = await stack.enter_async_context(
            open_house(
                short_folder / "telephone",
                built_prompts,
                browsers=("201",),
                database_url=database,
                redis_url=f"{redis_url}?db=5",
                key_timeout=1.0,
                ring_timeout=5.0,
                wrap_up=0,
                silent_telephone=4,
            )
        )
        folder = house.settings.var
        # Beside this loop, in which the controllers live: they must not stand still meanwhile.
        site = running_site(house.settings, folder)
        origin = await asyncio.to_thread(stack.enter_context, site)
        browser = await stack.enter_async_context(open_browser(*MEDIA, microphone(folder)))
        yield Desk(house, origin, browser)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(opened: Desk) -> AsyncIterator[Desk]:
    await opened.house.awake()
    yield opened
    await opened.house.nothing_left()


async def page_hears(page: Page, hertz: float) -> None:
    async def heard() -> bool:
        return await level(page, hertz) > LOUD

    await until(heard, f"the page plays a tone of {hertz:g} Hz")


@asynccontextmanager
async def conversation(desk: Desk, page: Page, number: str) -> AsyncIterator[Call]:
    """Somebody who has called and talks with the consultant of the page."""
    await is_in(page, "ready")
    async with desk.house.caller(number) as caller:
        await caller.press("0")
        await is_in(page, "ringing")
        await page.keyboard.press("8")
        caller.send_tone(CALLER_TONE)
        await hear_each_other(page, caller)
        yield caller


async def hear_each_other(page: Page, caller: Call) -> None:
    await is_in(page, "talking")
    await hears_tone(caller, CONSULTANT_TONE)
    await page_hears(page, CALLER_TONE)


async def test_both_hear_each_other_and_the_recording_has_both(
    desk: Desk, pytestconfig: pytest.Config
) -> None:
    house, number = desk.house, "+77013000001"
    async with desk.page() as page, conversation(desk, page, number) as caller:
        # Hold, and back, asked of the line by the page, which stays as it is.
        await expect(page.locator("#call")).to_be_visible()
        assert await serious_faults(page) == []
        assert not await is_wider_than_its_window(page)
        if folder := pytestconfig.getoption("pictures"):
            await page.locator("details", has_text="Microphone").locator("summary").click()
            await page.screenshot(path=Path(folder) / "telephone.png", full_page=True)
        await page.keyboard.press("1")
        await hears_no_tone(caller, CONSULTANT_TONE)
        await expect(page.locator("#board")).to_contain_text("The caller hears music")
        await page.keyboard.press("1")
        await hear_each_other(page, caller)
        await page.keyboard.press("9")
        await is_in(page, "ready")
        await caller.ended()
    [recording] = await house.recordings(await house.appeal(number))
    left, right = house.recorded(recording)
    assert loudness(left, CALLER_TONE) > LOUD_IN_ALL
    assert loudness(right, CONSULTANT_TONE) > LOUD_IN_ALL


async def test_a_conversation_leads_to_its_record_and_still_does_when_it_is_over(
    desk: Desk,
) -> None:
    number = "+77013000007"
    async with desk.page() as page, conversation(desk, page, number) as caller:
        appeal = await desk.house.live_appeal(number)
        assert appeal is not None
        record = page.locator(f"a[href='/appeals/{appeal.number}/record']")
        await expect(record).to_be_visible(timeout=LIMIT)
        async with page.context.expect_page() as opened:
            await page.keyboard.press("0")
        written = (await opened.value).locator("[name='f.content']")
        await expect(written).to_be_visible()
        await written.page.close()
        await hear_each_other(page, caller)  # the window of the telephone is still there
        await page.keyboard.press("9")
        await is_in(page, "ready")
        await caller.ended()
        await expect(page.locator("[data-call]")).to_have_count(0, timeout=LIMIT)
        await expect(record).to_be_visible()


async def test_keys_that_are_typed_reach_the_line(desk: Desk) -> None:
    async with desk.page() as page, conversation(desk, page, "+77013000002") as caller:
        await page.locator("#keys").focus()
        await page.keyboard.type("*5", delay=200)
        await hears_no_tone(caller, CONSULTANT_TONE)
        await page.get_by_role("button", name="*", exact=True).click()
        await page.get_by_role("button", name="5", exact=True).click()
        await hear_each_other(page, caller)


async def test_a_page_that_is_loaded_anew_gets_its_conversation_back(desk: Desk) -> None:
    number = "+77013000003"
    async with desk.page() as page, conversation(desk, page, number) as caller:
        since = time.monotonic()
        await page.reload()
        await hear_each_other(page, caller)
        # Nobody but the two heard anything else: the caller had music, and was not called lost.
        assert longest_silence(caller, since) < REATTACHED
        await page.keyboard.press("9")
        await caller.ended()
    appeal = await desk.house.appeal(number)
    assert appeal.outcome == "talked"
    assert "consultant_lost" not in await desk.house.moments(appeal)


async def test_a_page_that_is_closed_gives_its_caller_to_another_and_is_offered_nobody(
    desk: Desk,
) -> None:
    house, number = desk.house, "+77013000004"
    async with (
        desk.page() as page,
        conversation(desk, page, number) as caller,
        house.consultant("204") as other,
    ):
        since = time.monotonic()
        await page.close()
        await house.hears(caller, "kk", "consultant_lost")
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(GUEST_TONE)
        await hears_tone(caller, GUEST_TONE)
        assert longest_silence(caller, since) < REATTACHED
        assert await why_nobody(desk, "201") == AWAY
        await leg.hang_up()


async def test_a_page_that_sleeps_is_offered_nobody_and_it_is_told_why(desk: Desk) -> None:
    async def offered() -> bool:
        return await why_nobody(desk, "201") is None

    async with desk.page() as page:
        await is_in(page, "ready")
        await until(offered, "201 is offered calls")
        tools = await page.context.new_cdp_session(page)
        await tools.send("Debugger.enable")
        await tools.send("Debugger.pause")  # at the next thing that happens, for as long as wanted

        async def told() -> bool:
            return await why_nobody(desk, "201") == AWAY

        await until(told, "201 is known to be away", limit=40)
        await tools.send("Debugger.disable")
        await page.reload()
        await is_in(page, "ready")
        await until(offered, "201 is offered calls again")


async def test_without_a_microphone_nobody_is_offered(desk: Desk) -> None:
    async with desk.page(before=NO_MICROPHONE) as page:
        await is_in(page, "silent")
        # "telephone" only if it was there before, in another test.
        assert await why_nobody(desk, "201") in (AWAY, NEVER_THERE)


async def test_a_call_through_which_no_sound_goes_is_made_again(desk: Desk) -> None:
    async with desk.page(before=NO_SOUND % 1) as page:
        await is_in(page, "ready")
        async with desk.house.caller("+77013000005") as caller:
            await caller.press("0")
            await is_in(page, "ringing")
            await page.keyboard.press("8")
            await expect(page.locator("[data-sound=connected]")).to_be_visible(timeout=LIMIT)
            caller.send_tone(CALLER_TONE)
            await hear_each_other(page, caller)
            await expect(page.locator("#broken")).to_be_hidden()


async def test_who_cannot_be_heard_twice_loses_the_caller_to_another(desk: Desk) -> None:
    async with desk.page(before=NO_SOUND % 9) as page:
        await is_in(page, "ready")
        async with desk.house.caller("+77013000006") as caller:
            await caller.press("0")
            await is_in(page, "ringing")
            await page.keyboard.press("8")
            async with desk.house.consultant("204") as other:
                await desk.house.hears(caller, "kk", "consultant_lost", LIMIT / 1000)
                await is_in(page, "deaf")
                leg = await other.next_call()
                await leg.answer()
                leg.send_tone(GUEST_TONE)
                await hears_tone(caller, GUEST_TONE)
                await leg.hang_up()


async def test_a_second_window_waits_until_the_first_is_closed(desk: Desk) -> None:
    async with desk.page() as page:
        await is_in(page, "ready")
        second = await page.context.new_page()
        await visit(second, "/duty")
        await is_in(second, "elsewhere")
        await page.close()
        await is_in(second, "ready")


async def why_nobody(desk: Desk, extension: str) -> str | None:
    duty = await DutyDesk(desk.house.redis, PLAIN_RULES).of(extension)
    why = why_no_calls(duty)
    return why and f"{why}: {duty.reason}"
