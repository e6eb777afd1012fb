"""Each death of a consultant's telephone in a call that we make: who serves who was called?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.telephony.acd.distributor import RedisReservation
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.callbacks.store import ClaimedCallback
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.journal.events import CallbackClosed, Entry
from callcenter.telephony.calls.outbound.callback import CallbackAttempt, run_callback
from callcenter.telephony.calls.outbound.outbound_call import OutboundCall, run_outbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.calls.ports import Leg, LegHungUp, NotAnswered
from callcenter.telephony.controller.callback_dialer import CallbackDialer, CallbackRecord
from tests.flow.fake_telephony import FakeConsultant, FakeTelephony
from tests.flow.legs import STAYS, CallerLeg, FakeBridge, FakeLeg
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story
from tests.flow.telephone_deaths import THIRD_PARTY, of_each_alone, of_each_beside
from tests.polling import until

pytestmark = pytest.mark.usefixtures("each_death")

NUMBER = "+77011234567"
NEXT = ""  #: the consultant whom the called party gets next


class CalledLeg(CallerLeg):
    """Fake leg of the party who was called."""

    def __init__(self, telephony: "CalledTelephony", story: Story) -> None:
        super().__init__(telephony, story)
        self.hangs_up_at = ""  #: a prompt
        self._telephony = telephony

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        prompt = sounds[0].partition("/")[2]
        if prompt == self.hangs_up_at:
            self.leaves(LegHungUp("hung up"))
        await self._telephony.die_at(prompt)
        return await super().play(sounds, until_key=until_key)


class ConsultantLeg(FakeLeg):
    """Fake leg of a consultant who calls; its keys are pressed in the conversation."""

    async def _run(self) -> None:
        if self._watchers:
            await super()._run()

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        with self._turns.holding("ringing"):
            yield

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        assert isinstance(self._turns, CalledTelephony)
        await self._turns.die_at("failure")
        await self.step()
        return None


class CalledTelephony(FakeTelephony):
    """Fake telephony in which the caller is the party who is called first."""

    leg: CalledLeg

    def make_caller(self, story: Story) -> CalledLeg:
        return CalledLeg(self, story)

    def __init__(
        self, story: Story, keys: str = STAYS, *, dies: str = "", refuses: str = ""
    ) -> None:
        """`keys` are of the consultant who calls, and dies at a moment before they talk."""
        super().__init__(story)
        self.own = ConsultantLeg(self, "own", keys)
        self._dies, self._refuses = dies, refuses
        self._is_first = True

    @asynccontextmanager
    async def own_leg(self) -> AsyncIterator[FakeLeg]:
        with self.holding("leg"):
            yield self.own

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[FakeLeg]:
        if not self._is_first:
            async with super().call_number(number, shown, timeout, beside=beside) as leg:
                yield leg
            return
        self._is_first = False
        with self.holding("leg"):
            await self.operation()
            if self._refuses:
                raise NotAnswered(self._refuses)
            await self.die_at("dialling")
            yield self.leg

    @asynccontextmanager
    async def bridge(self, caller: Leg) -> AsyncIterator[FakeBridge]:
        async with super().bridge(caller) as bridge:
            await self.die_at("connecting")
            yield bridge

    def _consultant(self) -> FakeLeg:
        return self.called[0] if self.called else self.own

    async def die_at(self, moment: str) -> None:
        """Have the consultant's telephone die, if this is the moment, and that be noticed."""
        if self._dies == moment:
            await self._consultant().die()
            for _ in range(10):
                await asyncio.sleep(0)


async def call_out(telephony: CalledTelephony) -> Outcome:
    """Have a consultant call; returns the outcome and asserts that nothing is left."""
    outcome = await _call_out(telephony)
    assert_nothing_left(telephony)
    return outcome


async def _call_out(telephony: CalledTelephony) -> Outcome:
    async with AsyncExitStack() as stack:
        out = OutboundCall(
            consultant=FakeConsultant("200"),
            number=NUMBER,
            shown="111",
            how="dialled",
            language="kk",
            record=telephony.record,
            reservation=RedisReservation(),
            stack=stack,
            switch=telephony,
            sounds=telephony,
            ring_timeout=40,
            conversation=lambda _: telephony.call(),
        )
        return await run_outbound_call(out, telephony.own_leg())


async def call_back(telephony: CalledTelephony) -> Outcome:
    """Call an applicant back; returns the outcome and asserts that nothing is left."""
    async with telephony.place("callback-1", "kk", arrived=1.0, urgent=False) as place:
        assert await place.wait_for_offer(60) is not None
        attempt = CallbackAttempt(
            number=NUMBER,
            shown="111",
            attempt=1,
            ring_timeout=40,
            record=telephony.record,
            switch=telephony,
            conversation=lambda _: telephony.call(),
        )
        outcome = await run_callback(attempt, place)
    assert_nothing_left(telephony)
    return outcome


async def close_callback(telephony: CalledTelephony) -> list[str]:
    """Call an applicant back who is called again later; returns as what the callback closed."""
    entries: list[Entry] = []
    journal = SimpleNamespace(append=entries.append, save_call_state=lambda *_: None)
    parts = SimpleNamespace(
        settings=SimpleNamespace(shown_number="111", called_ring_timeout=40),
        journal=journal,
        switch=telephony,
        active_calls=SimpleNamespace(begin=lambda *_: None, end=lambda *_: None),
    )

    def make_call(_leg: Leg, record: CallbackRecord, *_: object) -> Call:
        return replace(telephony.call(), record=record)

    now, appeal_id = datetime.now(UTC), uuid4()
    callback = ClaimedCallback(uuid4(), appeal_id, NUMBER, "kk", False, now, 0, ())
    row = OutboundCallRow(uuid4(), appeal_id, 1, NUMBER, None, "callback-1", now, None, None)
    async with telephony.place("callback-1", "kk", arrived=1.0, urgent=False) as place:
        assert await place.wait_for_offer(60) is not None
        await CallbackDialer(cast(Any, parts), make_call).call(
            callback, row, cast(Any, place), attempt=1, becomes=lambda _: None
        )
    assert_nothing_left(telephony)
    return [each.state for each in entries if isinstance(each, CallbackClosed)]


def story_of(*consultants: str | NotAnswered, **interrupts: str) -> Story:
    """A party who wants to be called back, and who is rung for that, one after another."""
    return Story(
        {"callback_neutral": "1"}, interrupts, consultants=consultants, network=[THIRD_PARTY]
    )


def assert_heard_of_loss(telephony: CalledTelephony) -> None:
    assert "kk/consultant_lost" in telephony.leg.heard
    assert telephony.urgent_places[-1], "whom a dead telephone left goes first"
    assert telephony.record.events.count(CallEvent.CONSULTANT_LOST) == 1


def assert_was_left_with_another(telephony: CalledTelephony, places: int) -> None:
    assert "kk/consultant_lost" not in telephony.leg.heard
    assert len(telephony.urgent_places) == places
    assert {CallEvent.TRANSFERRED, CallEvent.LEFT_OUTSIDE} & set(telephony.record.events)


@pytest.mark.parametrize("dies", ["dialling", "called_notice", "connecting"])
async def test_a_death_before_the_talk_ends_as_given_up(dies: str) -> None:
    telephony = CalledTelephony(story_of(NEXT), dies=dies)
    assert await call_out(telephony) == Outcome.GIVEN_UP
    assert telephony.record.events[-1] == CallEvent.CONSULTANT_LOST
    assert telephony.record.details[-1] == {"consultant": "200"}
    assert (CallEvent.REACHED in telephony.record.events) is (dies != "dialling")
    # Nobody knows who answered: that one hears nothing of a consultant, and gets none.
    assert {*telephony.leg.heard} <= {"kk/called_notice"}
    assert telephony.urgent_places == []


async def test_a_death_while_hearing_why_not_is_not_reached() -> None:
    telephony = CalledTelephony(story_of(), dies="failure", refuses="busy")
    assert await call_out(telephony) == Outcome.NOT_REACHED
    assert telephony.own.end is not None


@of_each_alone
async def test_a_called_party_left_alone_hears_so_and_goes_first(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = CalledTelephony(story_of(*others, NEXT), keys)
    assert await call_out(telephony) == Outcome.TALKED
    assert_heard_of_loss(telephony)


@of_each_beside
async def test_a_called_party_with_another_goes_on(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = CalledTelephony(story_of(*others), keys)
    assert await call_out(telephony) == Outcome.TALKED
    assert_was_left_with_another(telephony, places=0)


async def test_a_called_party_left_alone_may_signal_danger() -> None:
    telephony = CalledTelephony(story_of(NEXT, consultant_lost="**"), "!")
    assert await call_out(telephony) == Outcome.TALKED
    assert telephony.record.urgencies == [Urgency.DANGER]


async def test_a_called_partys_own_death_is_recorded() -> None:
    telephony = CalledTelephony(story_of())
    calling = asyncio.create_task(_call_out(telephony))
    await until(lambda: CallEvent.CONNECTED in telephony.record.events, "they talk")
    await telephony.leg.die()
    assert await calling == Outcome.TALKED
    assert_nothing_left(telephony)
    assert telephony.record.events.count(CallEvent.CALLER_LOST) == 1


# Callbacks that were promised


@of_each_alone
async def test_an_applicant_left_alone_hears_so_and_goes_first(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = CalledTelephony(story_of(keys, *others, NEXT))
    assert await call_back(telephony) == Outcome.TALKED
    assert_heard_of_loss(telephony)


@of_each_beside
async def test_an_applicant_with_another_goes_on(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = CalledTelephony(story_of(keys, *others))
    assert await call_back(telephony) == Outcome.TALKED
    assert_was_left_with_another(telephony, places=1)


@pytest.mark.parametrize(
    ("dies", "keys", "is_done"),
    [("connecting", STAYS, False), ("", "!", True)],
    ids=["before they hear each other", "talking"],
)
async def test_a_callback_is_done_once_they_heard_each_other(
    dies: str, keys: str, is_done: bool
) -> None:
    telephony = CalledTelephony(story_of(keys), dies=dies)
    telephony.leg.hangs_up_at = "consultant_lost"
    assert await close_callback(telephony) == ([CallbackState.REACHED] if is_done else [])
    assert telephony.leg.end is not None
