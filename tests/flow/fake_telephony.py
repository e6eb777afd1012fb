"""Fake of all ports of a call, in which each operation takes two turns of the event loop.

Nothing here takes time, so a test can cut the story at each turn and look at what is left.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from callcenter.telephony.acd.distributor import RedisReservation
from callcenter.telephony.acd.rules.transfer_target import ANY_CONSULTANT, TransferTarget
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.ports import Leg, NotAnswered, RecordingUnconfirmed
from tests.flow.legs import CallerLeg, FakeBridge, FakeLeg
from tests.flow.record import Record
from tests.flow.story import TIMES, Story
from tests.flow.turns import TURNS, Turns


class FakeTelephony(Turns):
    """Fakes of all ports of a call, driven by a story."""

    def __init__(self, story: Story, *, fails_at: int | None = None) -> None:
        super().__init__(fails_at=fails_at)
        self.places: list[tuple[str, float]] = []  #: language and time of arrival
        self.preferred: list[str | None] = []  #: of each place, the consultant preferred
        self.urgent_places: list[bool] = []  #: of each place, whether it is an urgent one
        self.searches = 0  #: for a consultant, each as long as patience unless one is offered
        self.shown: list[str] = []  #: what the telephone of each consultant who was rung shows
        self.alerts: list[str] = []
        self.leg = self.make_caller(story)
        self.record = Record(self, self.leg, keeps_promises=story.promises_succeed)
        self.called: list[FakeLeg] = []
        self.bridges: list[FakeBridge] = []  #: of conversations
        self.snooped: list[tuple[FakeLeg, bool]] = []  #: whom supervisors heard, whether to whisper
        self.offered = [FakeConsultant(f"20{n}") for n in range(len(story.consultants))]
        self.story = story
        self._consultants = iter(story.consultants)
        self._unified_center = iter(story.unified_center)
        self._network = iter(story.network)
        self._offers = iter(self.offered)

    def make_caller(self, story: Story) -> CallerLeg:
        return CallerLeg(self, story)

    def call(self) -> Call:
        times = replace(
            TIMES,
            survey_always=self.story.survey_always,
            message_shortest=self.story.message_shortest,
        )
        parts = (self.leg, self.record, self, self, self, self, times)
        return Call(*parts, blocked=self.story.blocked, number=self.story.number, may_call=may_call)

    # Sounds

    def sound(self, language: str, prompt: str) -> str:
        return f"{language}/{prompt}"

    # Distributor

    async def now(self) -> float:
        return time.time()

    @asynccontextmanager
    async def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float,
        urgent: bool,
        target: TransferTarget = ANY_CONSULTANT,
        preferred: str | None = None,
    ) -> AsyncIterator["FakePlace"]:
        if target is ANY_CONSULTANT:
            self.preferred.append(preferred)
            self.places.append((language, arrived))
            self.urgent_places.append(urgent)
        with self.holding("place"):
            place = FakePlace(self)
            try:
                yield place
            finally:
                try:
                    await asyncio.sleep(0)
                finally:  # the real ones shield their ends too
                    place.end_lease()

    @asynccontextmanager
    async def reserve(self, call_id: str, extension: str) -> AsyncIterator[RedisReservation]:
        with self.holding("occupation"):
            await self.operation()
            yield RedisReservation()

    async def next_offer(self) -> "FakeConsultant | None":
        self.searches += 1
        await self.operation()
        offered = next(self._offers, None)
        if offered is None:
            for _ in range(self.story.patience):
                await asyncio.sleep(0)
        return offered

    # Queue

    async def position_of(self, call_id: str, language: str) -> "FakeQueuePosition":
        await self.operation()
        return FakeQueuePosition(
            speakers=int(language in self.story.signed_in),
            other_languages=self.story.signed_in - {language},
        )

    async def alert_not_recorded(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alerts.append("not_recorded")

    async def alert_recording_restored(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alerts.append("recorded_again")

    async def alert_urgent_waiting(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alerts.append("urgent_waits")

    async def alert_nobody_signed_in(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alerts.append(language)

    # Switch

    @asynccontextmanager
    async def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[FakeLeg]:
        self.shown.append(shown)
        async with self._called(next(self._consultants)) as leg:
            yield leg

    @asynccontextmanager
    async def call_unified_center(self, caller: Leg, timeout: float) -> AsyncIterator[FakeLeg]:
        async with self._called(next(self._unified_center, NotAnswered("busy"))) as leg:
            yield leg

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[FakeLeg]:
        async with self._called(next(self._network, NotAnswered("busy"))) as leg:
            yield leg

    @asynccontextmanager
    async def _called(self, does: str | NotAnswered) -> AsyncIterator[FakeLeg]:
        with self.holding("leg"):
            keys = "" if isinstance(does, NotAnswered) else does
            leg = FakeLeg(self, f"leg-{len(self.called)}", keys)
            self.called.append(leg)
            try:
                await self.operation()
                if isinstance(does, NotAnswered):
                    raise does
                if leg.end is not None:
                    raise NotAnswered("left")
                yield leg
            finally:
                await asyncio.sleep(0)

    @asynccontextmanager
    async def bridge(self, caller: Leg) -> AsyncIterator[FakeBridge]:
        with self.holding("bridge"):
            try:
                await self.operation()
                room = FakeBridge(self)
                self.bridges.append(room)
                yield room
            finally:
                await asyncio.sleep(0)

    @asynccontextmanager
    async def connect(
        self, one: Leg, other: Leg, *, keys_to_us: bool = True
    ) -> AsyncIterator[None]:
        assert isinstance(one, FakeLeg)
        assert isinstance(other, FakeLeg)
        with self.holding("bridge"):
            try:
                await self.operation()
                one.must_be_there()
                if other.end is not None:
                    raise NotAnswered("left")
                yield
            finally:
                await asyncio.sleep(0)

    @asynccontextmanager
    async def snoop(self, party: Leg, listener: Leg, *, whispering: bool) -> AsyncIterator[None]:
        with self.holding("ear"):
            await self.operation()
            assert isinstance(party, FakeLeg)
            assert isinstance(listener, FakeLeg)
            party.must_be_there()
            if listener.end is not None:
                raise NotAnswered("left")
            self.snooped.append((party, whispering))
            yield

    async def start_recording(self, caller: Leg, file: Path) -> None:
        await self.operation()
        if not self.story.recording_starts:
            raise RecordingUnconfirmed("as the story goes")
        self.held.append("recording")

    async def stop_recording(self, caller: Leg, file: Path) -> bool:
        for _ in range(10 * TURNS):  # the proof takes its time
            await asyncio.sleep(0)
        if "recording" in self.held:
            self.held.remove("recording")
        if not (self.story.recording_starts and self.story.recording_stops):
            raise RecordingUnconfirmed("as the story goes")
        return self.story.recording_is_empty


class SlowTelephony(FakeTelephony):
    """Fake telephony in which one party rings until it may answer."""

    def __init__(self, story: Story, slow: int) -> None:
        """`slow` is the place of that party among those who are called, from 0."""
        super().__init__(story)
        self.may_answer = asyncio.Event()
        self._slow = slow

    @asynccontextmanager
    async def _called(self, does: str | NotAnswered) -> AsyncIterator[FakeLeg]:
        is_slow = len(self.called) == self._slow
        async with super()._called(does) as leg:
            if is_slow:
                await self.may_answer.wait()
                if leg.end is not None:
                    raise NotAnswered("no_answer")
            yield leg


def may_call(number: str) -> str | None:
    if number == "102":
        return number
    return "+" + number if len(number) == 11 and number[0] == "7" else None


@dataclass(frozen=True)
class FakeQueuePosition:
    speakers: int
    other_languages: frozenset[str]
    position: int = 1
    expected_wait: float | None = None


class FakeConsultant:
    def __init__(self, extension: str) -> None:
        self.id = uuid4()
        self.extension = extension


class FakePlace:
    call_id = "place"

    def __init__(self, telephony: FakeTelephony) -> None:
        self._world = telephony
        self._leased: FakeConsultant | None = None

    async def wait_for_offer(self, timeout: float) -> FakeConsultant | None:
        if self._leased is not None:
            return self._leased
        consultant = await self._world.next_offer()
        if consultant is not None:
            self._leased = consultant
            self._world.held.append("lease")
        return consultant

    def mark_ringing(self) -> None:
        assert self._leased is not None

    def mark_answered(self, *, alone: bool = False) -> None:
        assert self._leased is not None

    async def release(self, *, unanswered: bool) -> None:
        await self._world.operation()
        self.end_lease()

    def end_lease(self) -> None:
        if self._leased is not None:
            self._leased = None
            self._world.held.remove("lease")
