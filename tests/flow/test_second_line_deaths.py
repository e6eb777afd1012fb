"""Each death of a telephone that has two lines: who has the caller whom the first one holds?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callcenter.telephony.acd.command_bus import ActiveCallRef
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import Leg, LegHungUp
from callcenter.telephony.controller import second_line
from callcenter.telephony.controller.second_line import SecondLine
from tests.flow.fake_telephony import FakeTelephony, SlowTelephony
from tests.flow.legs import STAYS, FakeLeg
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story
from tests.polling import LIMIT, until

pytestmark = pytest.mark.usefixtures("each_death", "_quick")

NEXT = ""  #: the consultant whom the caller gets next
FIRST, SECOND = "first", "second"  #: lines
COLLEAGUE, OUTSIDE = "201", "77012345678"
of_each_order = pytest.mark.parametrize(
    "order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["the first before", "the second before"]
)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_line, "POLL_INTERVAL", 0.01)


class SecondLeg(FakeLeg):
    """Fake leg of a telephone that dialled while it holds its first line."""

    name = "PJSIP/200-0000000b"

    def __init__(self, telephony: FakeTelephony, dialled: str) -> None:
        super().__init__(telephony, "second", STAYS)
        self.dialled = dialled

    @property
    def is_gone(self) -> bool:
        return self.end is not None

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        await self.step()
        return None

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        with self._turns.holding("ringing"):
            yield


class CallCommands:
    """Commands to one call, as those of other processes reach it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.answers: list[Answer] = []

    async def find_active_call(self, extension: str) -> ActiveCallRef:
        return ActiveCallRef("call", "line-1", extension)

    async def send_to_call(self, call: ActiveCallRef, command: CallCommand) -> Answer:
        command = replace(command, consultant=call.consultant)
        self.answers.append(await self._call.commands.dispatch(command))
        return self.answers[-1]


@dataclass
class TwoLines:
    """A telephone that holds a caller, and has dialled a third party."""

    telephony: SlowTelephony
    second: SecondLeg
    #: What serves the second line.
    serving: asyncio.Task[bool] = field(init=False)
    joined: list[Leg] = field(default_factory=list)  #: the second line, once it is connected
    commands: CallCommands = field(init=False)  #: those of the second line

    @property
    def first(self) -> FakeLeg:
        return self.telephony.called[0]

    @property
    def third_party(self) -> FakeLeg:
        return self.telephony.called[1]

    @property
    def has_third_party(self) -> bool:
        """Whether one is there, or is being called, beside the first line."""
        return self.telephony.held.count("leg") == 2

    async def happens(self, event: CallEvent) -> None:
        await until(lambda: event in self.telephony.record.events, f"{event} is recorded")

    async def die(self, order: tuple[str, ...]) -> None:
        """Have these lines die; what follows at once on one happens before the next."""
        for line in order:
            await (self.first if line == FIRST else self.second).die()
            for _ in range(200):
                await asyncio.sleep(0)

    def second_line(self, call: Call) -> SecondLine:
        """What serves the second line."""

        async def hang_up(leg: FakeLeg) -> None:
            await leg.hang_up()

        @asynccontextmanager
        async def join(leg: Leg, _extension: str) -> AsyncIterator[None]:
            self.joined.append(leg)
            yield

        colleagues = SimpleNamespace(find_consultant=lambda it: it if it == COLLEAGUE else None)
        channels = SimpleNamespace(hang_up=hang_up)
        switch = SimpleNamespace(channels=channels, join_conversation=join)
        parts = SimpleNamespace(distributor=colleagues, switch=switch, prompts=self.telephony)
        self.commands = CallCommands(call)
        return SecondLine(cast(Any, parts), cast(Any, self.commands))


@asynccontextmanager
async def two_lines(
    dialled: str = COLLEAGUE,
    *,
    rings: bool = False,
    holds: bool = True,
    others: tuple[str, ...] = (),
) -> AsyncIterator[TwoLines]:
    """A third party answers the second line, or rings; at the end all is over.

    The telephone `holds` its first line, if it tells so. `others` are consultants who are rung
    later.
    """
    third_party = (STAYS,) if dialled == COLLEAGUE else ()
    consultants = [STAYS, *third_party, *others]
    story = Story({"lang_choice": "0"}, consultants=consultants, network=[STAYS])
    telephony = SlowTelephony(story, slow=1)
    call = telephony.call()
    lines = TwoLines(telephony, SecondLeg(telephony, dialled))
    serving = asyncio.create_task(inbound_call(call))

    async def takes_commands() -> bool:
        with suppress(CommandRefused):
            await call.commands.dispatch(CallCommand("status", "self", consultant="200"))
            return True
        return False

    await until(takes_commands, "the conversation takes commands")
    if holds:
        lines.first.press_hold(True)
        await lines.happens(CallEvent.HELD)
    consulting = lines.second_line(call).serve(cast(Any, lines.second))
    lines.serving = asyncio.create_task(consulting)
    await until(lambda: len(telephony.called) == 2, "the third party is rung")
    if not rings:
        telephony.may_answer.set()
        await until(lambda: lines.joined, "the second line is connected")
    yield lines
    await asyncio.wait((lines.serving,))
    assert lines.serving.cancelled() or lines.serving.result()
    assert await serving == Outcome.TALKED
    assert_nothing_left(telephony)


def assert_heard_of_loss(lines: TwoLines) -> None:
    assert "kk/consultant_lost" in lines.telephony.leg.heard
    assert lines.telephony.urgent_places == [False, True]


def assert_heard_no_loss(lines: TwoLines) -> None:
    assert "kk/consultant_lost" not in lines.telephony.leg.heard
    assert lines.telephony.urgent_places == [False]


@of_each_order
@pytest.mark.parametrize(
    ("dialled", "event"),
    [(COLLEAGUE, CallEvent.TRANSFERRED), (OUTSIDE, CallEvent.LEFT_OUTSIDE)],
    ids=["colleague", "outside"],
)
async def test_the_caller_goes_on_with_whom_the_second_line_reached(
    order: tuple[str, ...], dialled: str, event: CallEvent
) -> None:
    async with two_lines(dialled) as lines:
        await lines.die(order)
        await lines.happens(event)
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


@of_each_order
async def test_the_caller_gets_the_colleague_whom_the_second_line_rang(
    order: tuple[str, ...],
) -> None:
    async with two_lines(rings=True) as lines:
        await lines.die(order)
        lines.telephony.may_answer.set()
        await lines.happens(CallEvent.TRANSFERRED)
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)
    assert CallEvent.CONSULTANT_LOST in lines.telephony.record.events


@of_each_order
async def test_the_caller_hears_so_when_nobody_answers_the_second_line(
    order: tuple[str, ...],
) -> None:
    async with two_lines(rings=True, others=(NEXT,)) as lines:
        await lines.die(order)
        lines.third_party.leaves(LegHungUp("no answer"))
        lines.telephony.may_answer.set()
    assert_heard_of_loss(lines)


@of_each_order
async def test_the_caller_does_not_wait_for_a_number_outside(order: tuple[str, ...]) -> None:
    async with two_lines(OUTSIDE, rings=True, others=(NEXT,)) as lines:
        await lines.die(order)
    assert_heard_of_loss(lines)


@pytest.mark.parametrize("rings", [True, False], ids=["ringing", "connected"])
async def test_a_second_line_that_dies_alone_gives_the_caller_back(
    monkeypatch: pytest.MonkeyPatch, rings: bool
) -> None:
    monkeypatch.setattr(second_line, "OTHER_LINE_LIMIT", 0.02)
    async with two_lines(rings=rings) as lines:
        await lines.die((SECOND,))
        await until(lambda: not lines.has_third_party, "the third party is let go")
        lines.first.press_hold(False)
        await lines.happens(CallEvent.RESUMED)
        lines.first.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)
    assert CallEvent.TRANSFERRED not in lines.telephony.record.events


@pytest.mark.parametrize("rings", [True, False], ids=["ringing", "connected"])
async def test_resuming_the_first_line_brings_the_caller_back_at_once(
    monkeypatch: pytest.MonkeyPatch, rings: bool
) -> None:
    monkeypatch.setattr(second_line, "OTHER_LINE_LIMIT", 10 * LIMIT)
    async with two_lines(rings=rings) as lines:
        await lines.die((SECOND,))
        lines.first.press_hold(False)
        await lines.happens(CallEvent.RESUMED)
        assert not lines.has_third_party
        lines.first.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


async def test_a_telephone_that_never_held_proves_nothing_by_that() -> None:
    async with two_lines(holds=False) as lines:
        await lines.die((SECOND, FIRST))
        await lines.happens(CallEvent.TRANSFERRED)
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


@pytest.mark.parametrize("rings", [True, False], ids=["ringing", "connected"])
async def test_a_first_line_resumed_before_the_death_proves_nothing(rings: bool) -> None:
    async with two_lines(rings=rings) as lines:
        lines.first.press_hold(False)
        await until(lambda: lines.commands.answers[-1]["telephone"] == "talks", "it is resumed")
        await lines.die((SECOND, FIRST))
        lines.telephony.may_answer.set()
        await lines.happens(CallEvent.TRANSFERRED)
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


async def test_a_controller_that_stops_gives_the_caller_back() -> None:
    async with two_lines() as lines:
        await lines.die((SECOND,))
        lines.serving.cancel()
        await until(lambda: not lines.has_third_party, "the third party is let go")
        lines.first.press_hold(False)
        await lines.happens(CallEvent.RESUMED)
        lines.first.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


async def test_a_controller_that_stops_leaves_a_transferred_caller_alone() -> None:
    async with two_lines() as lines:
        await lines.die((SECOND, FIRST))
        lines.serving.cancel()
        await lines.happens(CallEvent.TRANSFERRED)
        await asyncio.wait((lines.serving,))
        assert lines.telephony.held.count("leg") == 1
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


async def test_a_first_line_that_dies_alone_ends_the_second() -> None:
    async with two_lines() as lines:
        await lines.die((FIRST,))
        await lines.happens(CallEvent.TRANSFERRED)
        await until(lambda: lines.second.is_gone, "the second line is hung up")
        lines.third_party.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)


async def test_a_dead_colleague_leaves_the_caller_to_the_first_line() -> None:
    async with two_lines() as lines:
        await lines.third_party.die()
        await lines.happens(CallEvent.THIRD_PARTY_FAILED)
        lines.first.press_hold(False)
        await lines.happens(CallEvent.RESUMED)
        await until(lambda: lines.second.is_gone, "the second line is hung up")
        lines.first.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(lines)
    assert CallEvent.THIRD_PARTY_FAILED in lines.telephony.record.events
