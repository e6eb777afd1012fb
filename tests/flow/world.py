"""A world in which a call can be told as a story, in which every step takes one turn of the loop.

Nothing here takes time, so a test can cut the story at each turn and look at what is left.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from callcenter.consultants.desk import Occupation
from callcenter.consultants.skills import LOWEST
from callcenter.line.call import Call
from callcenter.line.ports import Leg, NotAnswered, RecordingUnproved
from tests.flow.legs import CallerLeg, FakeLeg, FakeRoom
from tests.flow.record import Record
from tests.flow.story import TIMES, Story
from tests.flow.turns import TURNS, Turns


class World(Turns):
    """All ports of a call."""

    def __init__(self, story: Story, *, fails_at: int | None = None) -> None:
        super().__init__(fails_at=fails_at)
        self.places: list[tuple[str, float]] = []  #: language and time of arrival
        self.preferred: list[str | None] = []  #: of each place, the consultant preferred
        self.urgent_places: list[bool] = []  #: of each place, whether it is an urgent one
        self.searches = 0  #: for a consultant, each as long as patience unless one is offered
        self.shown: list[str] = []  #: what the telephone of each consultant who was rung shows
        self.alarms: list[str] = []
        self.leg = CallerLeg(self, story)
        self.record = Record(self, self.leg, keeps_promises=story.promises_kept)
        self.called: list[FakeLeg] = []
        self.offered = [FakeConsultant(f"20{n}") for n in range(len(story.consultants))]
        self.story = story
        self._consultants = iter(story.consultants)
        self._unified_center = iter(story.unified_center)
        self._network = iter(story.network)
        self._offers = iter(self.offered)

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

    # Desk

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
        skill: str | None = None,
        level: int = LOWEST,
        preferred: str | None = None,
        consultant: str | None = None,
    ) -> AsyncIterator["FakePlace"]:
        if consultant is None and skill is None:
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
    async def occupied(self, call_id: str, extension: str) -> AsyncIterator[Occupation]:
        with self.holding("occupation"):
            await self.operation()
            yield Occupation()

    async def next_offer(self) -> "FakeConsultant | None":
        self.searches += 1
        await self.operation()
        offered = next(self._offers, None)
        if offered is None:
            for _ in range(self.story.patience):
                await asyncio.sleep(0)
        return offered

    # Queue

    async def standing(self, call_id: str, language: str) -> "FakeStanding":
        await self.operation()
        return FakeStanding(
            speakers=int(language in self.story.signed_in),
            other_languages=self.story.signed_in - {language},
        )

    async def not_recorded(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alarms.append("not_recorded")

    async def recorded_again(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alarms.append("recorded_again")

    async def urgent_waits(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alarms.append("urgent_waits")

    async def nobody_signed_in(self, call_id: str, language: str) -> None:
        await self.operation()
        self.alarms.append(language)

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
    async def room(self, caller: Leg) -> AsyncIterator[FakeRoom]:
        with self.holding("bridge"):
            try:
                await self.operation()
                room = FakeRoom(self)
                yield room
            finally:
                await asyncio.sleep(0)

    @asynccontextmanager
    async def connected(
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
    async def overheard(
        self, party: Leg, listener: Leg, *, whispering: bool
    ) -> AsyncIterator[None]:
        with self.holding("ear"):
            await self.operation()
            yield

    async def start_recording(self, caller: Leg, file: Path) -> None:
        await self.operation()
        if not self.story.recording_starts:
            raise RecordingUnproved("as the story goes")
        self.held.append("recording")

    async def stop_recording(self, caller: Leg, file: Path) -> None:
        for _ in range(10 * TURNS):  # the proof takes its time
            await asyncio.sleep(0)
        if "recording" in self.held:
            self.held.remove("recording")
        if not (self.story.recording_starts and self.story.recording_stops):
            raise RecordingUnproved("as the story goes")


def may_call(number: str) -> str | None:
    if number == "102":
        return number
    return "+" + number if len(number) == 11 and number[0] == "7" else None


@dataclass(frozen=True)
class FakeStanding:
    speakers: int
    other_languages: frozenset[str]
    position: int = 1
    expected_wait: float | None = None


class FakeConsultant:
    def __init__(self, extension: str) -> None:
        self.id = uuid4()
        self.extension = extension


class FakePlace:
    def __init__(self, world: World) -> None:
        self._world = world
        self._leased: FakeConsultant | None = None

    async def offer(self, timeout: float) -> FakeConsultant | None:
        if self._leased is not None:
            return self._leased
        consultant = await self._world.next_offer()
        if consultant is not None:
            self._leased = consultant
            self._world.held.append("lease")
        return consultant

    def rings(self) -> None:
        assert self._leased is not None

    def answered(self, *, alone: bool = False) -> None:
        assert self._leased is not None

    async def give_back(self, *, unanswered: bool) -> None:
        await self._world.operation()
        self.end_lease()

    def end_lease(self) -> None:
        if self._leased is not None:
            self._leased = None
            self._world.held.remove("lease")
