"""A consultant's shift in a browser: ten calls of ten kinds, each with its record closed.

What it costs the consultant is counted: clicks, keys, typed characters and changes of the page.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Position, Request, expect

from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import presets
from callcenter.appeals.record import store as records
from callcenter.appeals.record.store import Record
from callcenter.appeals.rules.fields import Value
from callcenter.appeals.rules.states import AppealKind, AppealState, Disposition
from callcenter.consultants import store as consultants
from callcenter.launcher.supervisor import environment
from callcenter.platform.identity import store as users
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.call import SipCall
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from tests.browser.chromium import actor, serious_faults
from tests.browser.page_checks import WIDE
from tests.browser.softphone import Workplace, hear_each_other, is_in, open_workplace, page_hears
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE
from tests.calls.processes import Process
from tests.calls.talking import THIRD_PARTY_TONE, hears_tone
from tests.calls.test_callback_requests import open_promises
from tests.calls.test_voicemail import messages, speaks
from tests.calls.waiting import SEVERAL, times
from tests.demands.conftest import HEAD
from tests.polling import until
from tests.services import CALLCENTER, new_database
from tests.web.conftest import PASSWORD, add_user

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "aigerim"  # who has the shift
#: Presets that the center has from the beginning, and one of this center.
ALIMONY, NOT_OURS, DANGER = "Alimony: information", "Another body is competent", "Danger: passed on"
DECISIONS = {
    ALIMONY: "Разъяснён порядок",
    NOT_OURS: "Сообщено, какой орган компетентен",
    DANGER: "Сообщено службе, которая может помочь сразу",
}
ORDINARY_ACTIONS = 5  # clicks and keys that an ordinary consultation takes at most
CALLED_BACK, LEFT_MESSAGE = "+77014000005", "+77014000006"
PLAY = Position(x=20, y=27)  # where the player has its button


@dataclass
class Cost:
    """What one kind of call takes of the consultant. A key with Alt or Ctrl is one key."""

    kind: str
    clicks: int = 0
    keys: int = 0
    characters: int = 0  #: of texts, which are typed besides
    page_changes: int = 0
    seconds: float = 0.0

    @property
    def actions(self) -> int:
        return self.clicks + self.keys


class Hand:
    """What the consultant does, counted by kinds of calls."""

    def __init__(self, page: Page, pictures: str | None) -> None:
        self.page = page
        self.costs: list[Cost] = []
        self._pictures = pictures
        page.context.on("request", self._requested)

    def _requested(self, request: Request) -> None:
        is_redirected = request.redirected_from is not None
        if request.resource_type == "document" and not is_redirected and self.costs:
            self.costs[-1].page_changes += 1

    @contextmanager
    def counted(self, kind: str) -> Iterator[None]:
        """Whatever is done within the block is of this kind."""
        cost, since = Cost(kind), time.monotonic()
        self.costs.append(cost)
        yield
        cost.seconds = time.monotonic() - since

    @asynccontextmanager
    async def at(self, other: Page) -> AsyncIterator[Page]:
        """Work in another window, which is closed at the end."""
        own, self.page = self.page, other
        yield other
        await other.close()
        self.page = own

    async def press(self, key: str) -> None:
        await self.page.keyboard.press(key)
        self.costs[-1].keys += 1

    async def click(self, what: Locator, at: Position | None = None) -> None:
        await what.click(position=at)
        self.costs[-1].clicks += 1

    async def button(self, name: str) -> None:
        await self.click(self.page.get_by_role("button", name=name))

    async def type(self, text: str) -> None:
        await self.page.keyboard.type(text)
        self.costs[-1].characters += len(text)

    async def show(self) -> None:
        """Take a picture of the kind at hand, where pictures are wanted."""
        if self._pictures:
            path = Path(self._pictures) / f"shift-{self.costs[-1].kind.replace(' ', '-')}.png"
            # To hide the caret it would put styles in, which the page refuses and complains of.
            await self.page.screenshot(path=path, caret="initial")

    def table(self) -> str:
        rows = [
            "| call | clicks | keys | characters | page changes | seconds |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {each.kind} | {each.clicks} | {each.keys} | {each.characters}"
                f" | {each.page_changes} | {each.seconds:.1f} |"
                for each in self.costs
            ),
        ]
        return "\n".join(rows)


@dataclass
class Shift:
    """A workplace, and the consultant who works at it."""

    workplace: Workplace
    hand: Hand

    @property
    def page(self) -> Page:
        return self.hand.page

    @asynccontextmanager
    async def call(self, number: str, keys: str = "11") -> AsyncIterator[SipCall]:
        """Somebody calls, presses these keys and is answered: the two hear each other."""
        await is_in(self.page, "ready")
        async with self.workplace.call_center.caller(number) as caller:
            await caller.press(keys)
            await self.answer(caller)
            yield caller

    async def answer(self, caller: SipCall, said: str = "A caller") -> None:
        """Answer whoever the page says that is; the call can be controlled, its record written."""
        await is_in(self.page, "ringing")
        await expect(self.page.locator("[data-rings]")).to_contain_text(f"{said}, Kazakh")
        await self.hand.press("Alt+8")
        caller.send_tone(CALLER_TONE)
        await hear_each_other(self.page, caller)
        await expect(self.page.locator("#call")).to_be_visible()
        await expect(self.page.locator("#appeal-panel[data-stage=contact]")).to_be_visible()

    async def hang_up(self, caller: SipCall) -> None:
        """Say goodbye: both hang up."""
        await self.hand.press("Alt+9")
        await is_in(self.page, "ready")
        await caller.hang_up()

    async def fill_in(self, preset: str) -> None:
        await self.hand.button(preset)
        await expect(self.page.locator("#f-decision")).not_to_have_value("")
        await self.hand.show()

    async def close(self) -> None:
        """Save the record and close it: nothing is lacking."""
        await self.hand.press("Control+Enter")
        await expect(self.page.locator("#appeal-panel[data-stage=closed]")).to_be_visible()

    async def close_urgent(self, notified: str = "102, дежурный Ахметов") -> None:
        """Save a record that is urgent, say who was told, as it asks for, and close it."""
        await self.hand.press("Control+Enter")
        await expect(self.page.locator("#notified")).to_be_focused()
        await self.hand.type(notified)
        await self.hand.press("Enter")
        await expect(self.page.locator("#notified")).to_have_count(0)
        await self.close()

    async def is_closed(
        self, number: str, outcome: Outcome, preset: str, *, passed_on: bool = False
    ) -> AppealRow:
        """The appeal of this caller, once its call is over; the database has what was done."""
        row = await self.workplace.call_center.appeal(number)
        record = await self.record(row)
        kind = AppealKind.DANGER if preset == DANGER else AppealKind.CONSULTATION
        assert (row.outcome, record.stage, record.kind) == (outcome, AppealState.CLOSED, kind)
        assert record.content["decision"] == DECISIONS[preset]
        assert (record.danger_passed_at is not None) == passed_on
        assert record.owner == NAME
        return row

    async def record(self, row: AppealRow) -> Record:
        call_center = self.workplace.call_center
        async with unit_of_work(call_center.engine) as connection:
            return await records.find(connection, RecordKeys.read(call_center.settings), row.id)


@pytest_asyncio.fixture(loop_scope="session")
async def workplace(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[Workplace]:
    """A workplace with a lawyer among the colleagues and a preset for danger."""
    with new_database(postgres) as database:
        folder, redis = short_folder / "shift", f"{redis_url}?db=10"
        async with open_workplace(folder, built_prompts, database, redis) as workplace:
            call_center = workplace.call_center
            await add_user(call_center.engine, NAME, Role.CONSULTANT)
            async with unit_of_work(call_center.engine) as connection:
                await consultants.set_skills(connection, "204", {"lawyer": 3})
                own = await consultants.id_of(connection, "201")
                await users.link_consultant(connection, name=NAME, consultant_id=own)
            answers: dict[str, Value] = {
                "content": "Сообщение об опасности",
                "help": ["organizational"],
                "decision": DECISIONS[DANGER],
                "decision_reason": "Есть угроза жизни или здоровью",
            }
            names = ("Қауіп: хабарланды", "Опасность: передано", DANGER)
            await presets.put(call_center.engine, HEAD, names, AppealKind.DANGER, answers)
            log, settings = call_center.settings.var / "worker.log", call_center.settings
            worker = Process((*CALLCENTER, "worker"), log, environment(settings))
            await worker.start()
            try:
                yield workplace
            finally:
                await worker.kill()
            await call_center.assert_no_resources_left()


async def sign_in(hand: Hand) -> None:
    """It leads to the workspace, whose telephone is ready then."""
    page = hand.page
    await actor(page, "/sign-in")
    with hand.counted("sign-in"):
        await hand.type(NAME)
        await hand.press("Tab")
        await hand.type(PASSWORD)
        await hand.press("Enter")
        await page.wait_for_url("**/workspace")
    await is_in(page, "ready")
    await expect(page.locator("[data-group=signed_out]")).to_be_visible()


async def ask_for_callback(workplace: Workplace) -> None:
    """Somebody calls while nobody is at work, and is promised to be called back."""
    call_center = workplace.call_center
    async with call_center.caller(CALLED_BACK) as caller:
        await caller.press("11")
        await call_center.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("2")
        await call_center.hears(caller, "kk", "callback_number", SEVERAL)
        await caller.press("1")
        await call_center.hears(caller, "kk", "callback_ok", SEVERAL)
        assert CALLED_BACK in await open_promises(call_center)
        await caller.hang_up()


async def leave_message(workplace: Workplace) -> None:
    """Somebody else leaves a message instead."""
    call_center = workplace.call_center
    async with call_center.caller(LEFT_MESSAGE) as caller:
        await caller.press("11")
        await call_center.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("4")
        await call_center.hears(caller, "kk", "message_speak", SEVERAL)
        await speaks(call_center, caller)
        await caller.hang_up()


async def take_callback(shift: Shift) -> None:
    """Who was promised is called as soon as the consultant takes calls."""
    call_center = shift.workplace.call_center
    async with call_center.network(CALLED_BACK) as network:
        await shift.hand.press("Alt+t")
        applicant = await network.next_call(SEVERAL)
        await applicant.answer()
        applicant.send_silence()
        await call_center.hears(applicant, "kk", "callback_neutral")
        await applicant.press("1")
        await shift.answer(applicant, "A callback that was promised")
        await shift.fill_in(ALIMONY)
        await shift.close()
        await shift.hang_up(applicant)
    row = await shift.is_closed(CALLED_BACK, Outcome.CALLBACK, ALIMONY)
    assert CallEvent.REACHED in await call_center.moments(row)


async def hear_message(shift: Shift) -> None:
    """It is a task of the own day; it is played on the page of its appeal, and done."""
    hand, call_center = shift.hand, shift.workplace.call_center
    row = await call_center.appeal(LEFT_MESSAGE)

    async def is_stored() -> bool:
        return [each.state for each in await call_center.recordings(row)] == ["stored"]

    await until(is_stored, "the message is stored")
    await hand.press("Alt+d")
    async with shift.page.expect_popup() as opened:
        await hand.click(shift.page.locator(".loaded a", has_text="Messages to hear"))
    async with hand.at(await opened.value) as beside:
        await hand.click(beside.get_by_role("link", name=row.number))
        player = beside.locator("section.task audio")
        await hand.click(player, at=PLAY)
        await beside.wait_for_function(
            "(player) => player.currentTime > 0", arg=await player.element_handle()
        )
        await hand.button("Heard, and done")
        await expect(player).to_have_count(0)
        await shift.fill_in(ALIMONY)
        await shift.close()
    await shift.is_closed(LEFT_MESSAGE, Outcome.MESSAGE, ALIMONY)
    assert await messages(call_center, CallbackState.DONE) != []


async def take_ordinary(shift: Shift) -> None:
    number = "+77014000001"
    async with shift.call(number) as caller:
        await shift.fill_in(ALIMONY)
        await shift.close()
        await shift.hang_up(caller)
    await shift.is_closed(number, Outcome.TALKED, ALIMONY)


async def take_urgent(shift: Shift) -> None:
    """The caller said by key that it is urgent, and so does the record of a consultation."""
    number, page = "+77014000002", shift.page
    async with shift.call(number, "8") as caller:
        await expect(page.locator("#state .badge.bad", has_text="in danger")).to_be_visible()
        await shift.fill_in(ALIMONY)
        await shift.hand.click(page.locator("#f-danger"))
        await shift.hand.press("Tab")
        await shift.hand.type("Угрожает отобрать детей")
        await shift.close_urgent()
        await shift.hang_up(caller)
    row = await shift.is_closed(number, Outcome.TALKED, ALIMONY, passed_on=True)
    assert list(row.urgent) == [Urgency.DANGER]


async def take_silent(shift: Shift) -> None:
    """The caller cannot speak, and answers what is asked by keys."""
    number, page = "+77014000003", shift.page
    async with shift.call(number, "5") as caller:
        await expect(page.locator("#state .badge.bad", has_text="cannot speak")).to_be_visible()
        await caller.press("12", gap=0.3)
        await expect(page.locator("[data-keys] kbd")).to_have_text(["1", "2"])
        assert await serious_faults(page) == []
        await shift.fill_in(DANGER)
        await shift.close_urgent()
        await shift.hang_up(caller)
    row = await shift.is_closed(number, Outcome.TALKED, DANGER, passed_on=True)
    assert list(row.urgent) == [Urgency.SILENT]


async def take_danger(shift: Shift) -> None:
    """In the middle of a conversation the caller signals danger by two stars."""
    number, page = "+77014000004", shift.page
    async with shift.call(number) as caller:
        await caller.press("**")
        await expect(page.locator("#caller .message.danger")).to_be_visible()
        await shift.fill_in(DANGER)
        await shift.close_urgent()
        await shift.hang_up(caller)
    row = await shift.is_closed(number, Outcome.TALKED, DANGER, passed_on=True)
    assert list(row.urgent) == [Urgency.DANGER]


async def take_prank(shift: Shift) -> None:
    """What was no request has no record but which it was, and nothing personal."""
    number, page = "+77014000007", shift.page
    async with shift.call(number) as caller:
        row = await shift.workplace.call_center.live_appeal(number)
        assert row is not None
        await shift.hand.press("Alt+n")
        digit = await page.get_by_role("button", name="Prank").get_attribute("data-digit")
        assert digit is not None
        await shift.hand.show()
        await shift.hand.press(digit)
        await expect(page.locator("#appeal-panel[data-stage=no_request]")).to_be_visible()
        await shift.hang_up(caller)
    record = await shift.record(row)
    assert (record.stage, record.disposition) == (AppealState.NO_REQUEST, Disposition.PRANK)
    assert record.content == {}
    assert await shift.workplace.call_center.live_appeal(number) is None  # nor the number


async def transfer_to_skill(shift: Shift) -> None:
    """A lawyer gets the call; the record of what was done before is closed afterwards."""
    number, call_center = "+77014000008", shift.workplace.call_center
    async with shift.call(number) as caller, call_center.consultant("204") as lawyer:
        await shift.fill_in(ALIMONY)
        await shift.hand.press("Alt+3")
        await shift.hand.click(shift.page.locator("#to-lawyer"))
        await shift.hand.button("Transfer at once")
        leg = await lawyer.next_call()
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await hears_tone(caller, THIRD_PARTY_TONE)
        await is_in(shift.page, "ready")
        await shift.close()
        await leg.hang_up()
        await caller.ended()
    row = await shift.is_closed(number, Outcome.TALKED, ALIMONY)
    assert row.consultant_extension == "204"


async def redirect_to_1414(shift: Shift) -> None:
    number, call_center = "+77014000009", shift.workplace.call_center
    async with shift.call(number) as caller, call_center.unified_center() as center:
        await shift.fill_in(NOT_OURS)
        await shift.close()
        await shift.hand.press("Alt+7")
        await shift.hand.press("Enter")
        leg = await center.next_call(SEVERAL)
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await hears_tone(caller, THIRD_PARTY_TONE)
        await is_in(shift.page, "ready")
        await leg.hang_up()
        await caller.ended()
    await shift.is_closed(number, Outcome.REDIRECTED, NOT_OURS)


async def call_emergency(shift: Shift) -> None:
    """112 joins by one press with a confirmation, and all three hear each other."""
    number, call_center = "+77014000010", shift.workplace.call_center
    async with shift.call(number) as caller, call_center.network("112") as network:
        await shift.hand.press("Alt+e")
        await shift.hand.click(shift.page.locator("summary", has_text="112"))
        await shift.hand.button("Yes, call 112")
        service = await network.next_call(SEVERAL)
        await service.answer()
        service.send_tone(THIRD_PARTY_TONE)
        await hears_tone(caller, THIRD_PARTY_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await hears_tone(service, CALLER_TONE)
        await page_hears(shift.page, THIRD_PARTY_TONE)
        await shift.fill_in(DANGER)
        await shift.close_urgent("112, диспетчер Ли")
        await service.hang_up()
        await shift.hang_up(caller)
    await shift.is_closed(number, Outcome.TALKED, DANGER, passed_on=True)


#: The callback and the message are of callers who rang before the shift.
KINDS: dict[str, Callable[[Shift], Awaitable[None]]] = {
    "callback": take_callback,
    "message": hear_message,
    "ordinary": take_ordinary,
    "urgent": take_urgent,
    "silent by keys": take_silent,
    "danger": take_danger,
    "prank": take_prank,
    "transfer to a skill": transfer_to_skill,
    "1414": redirect_to_1414,
    "emergency": call_emergency,
}


@pytest.mark.timeout(300)  # ten conversations
async def test_a_shift_of_ten_kinds_of_calls(
    workplace: Workplace, pytestconfig: pytest.Config
) -> None:
    # A record that lacks something is answered by 400.
    async with workplace.window(forgiven="400") as page:
        await page.set_viewport_size(WIDE)
        hand = Hand(page, pytestconfig.getoption("pictures"))
        with times(workplace.call_center, key_timeout=5.0):
            early = ask_for_callback(workplace), leave_message(workplace)
            await asyncio.gather(sign_in(hand), *early)
        for kind, take in KINDS.items():
            with hand.counted(kind):
                await take(Shift(workplace, hand))
    table = hand.table()
    print(f"\n{table}")  # noqa: T201
    ordinary = next(each for each in hand.costs if each.kind == "ordinary")
    assert ordinary.actions <= ORDINARY_ACTIONS
    assert ordinary.page_changes == 0
