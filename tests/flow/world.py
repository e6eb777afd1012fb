"""A world in which a call can be told as a story, in which every step takes one turn of the loop.

Nothing here takes time, so a test can cut the story at each turn and look at what is left.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

from callcenter.consultants.desk import Occupation
from callcenter.consultants.skills import LOWEST
from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.outcomes import Moment, Urgency
from callcenter.line.ports import Leg, LegGone, LegLost, NotAnswered, RecordingUnproved

HINTS = {"urgent_keys", "danger_stars"}  #: said after a question, and part of it
WAITING = "waiting"  #: in place of a prompt: what is pressed to the music of the queue
PAUSE = 30  #: turns of the loop for which a key that is a blank waits
TURNS = 2  #: turns of the loop that each operation takes


@dataclass(frozen=True)
class Story:
    """What the others do. Whoever is asked and has nothing left to do does nothing."""

    #: Keys that the caller presses after a prompt was asked; None is silence.
    presses: dict[str, Sequence[str | None]] = field(default_factory=dict)
    #: Keys that the caller presses while a prompt is being played.
    interrupts: dict[str, str] = field(default_factory=dict)
    #: What each consultant who is offered does: answers and presses these keys, or why not.
    consultants: Sequence[str | NotAnswered] = ()
    #: Whether 1414 answers (and hangs up after a while), each time it is called, or why not.
    unified_center: Sequence[str | NotAnswered] = ()
    #: Likewise the telephones of the network.
    network: Sequence[str | NotAnswered] = ()
    #: Languages of the consultants who are signed in.
    signed_in: frozenset[str] = frozenset({"kk", "ru"})
    #: Turns of the loop for which the caller waits when no consultant is free.
    patience: int = 0
    #: Whether the number is blocked.
    blocked: bool = False
    #: The caller's own number; None when it is withheld.
    number: str | None = "+77011234567"
    message_shortest: float = 0
    promises_kept: bool = True
    recording_starts: bool = True
    recording_stops: bool = True
    survey_always: bool = False


class World:
    """All ports of a call. `held` names whatever is taken now and not yet given back."""

    def __init__(self, story: Story, *, fails_at: int | None = None) -> None:
        """The operation of this number, from 0, raises WeFailed."""
        self.held: list[str] = []
        self.operations = 0
        self.places: list[tuple[str, float]] = []  #: language and time of arrival
        self.preferred: list[str | None] = []  #: of each place, the consultant preferred
        self.urgent_places: list[bool] = []  #: of each place, whether it is an urgent one
        self.searches = 0  #: for a consultant, each as long as patience unless one is offered
        self.shown: list[str] = []  #: what the telephone of each consultant who was rung shows
        self.alarms: list[str] = []
        self.leg = CallerLeg(self, story)
        self.record = Record(self)
        self.called: list[FakeLeg] = []
        self.offered = [FakeConsultant(f"20{n}") for n in range(len(story.consultants))]
        self.story = story
        self._fails_at = fails_at
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

    async def operation(self) -> None:
        number, self.operations = self.operations, self.operations + 1
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if number == self._fails_at:
            raise WeFailed("as the story goes")

    @contextmanager
    def holding(self, what: str) -> Iterator[None]:
        self.held.append(what)
        try:
            yield
        finally:
            self.held.remove(what)

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
    ) -> AsyncIterator["FakeLeg"]:
        self.shown.append(shown)
        async with self._called(next(self._consultants)) as leg:
            yield leg

    @asynccontextmanager
    async def call_unified_center(self, caller: Leg, timeout: float) -> AsyncIterator["FakeLeg"]:
        async with self._called(next(self._unified_center, NotAnswered("busy"))) as leg:
            yield leg

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator["FakeLeg"]:
        async with self._called(next(self._network, NotAnswered("busy"))) as leg:
            yield leg

    @asynccontextmanager
    async def _called(self, does: str | NotAnswered) -> AsyncIterator["FakeLeg"]:
        with self.holding("leg"):
            leg = FakeLeg(self, "" if isinstance(does, NotAnswered) else does)
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
    async def room(self, caller: Leg) -> AsyncIterator["FakeRoom"]:
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


class FakeRoom:
    """Who hears each other."""

    def __init__(self, world: World) -> None:
        self.inside: list[FakeLeg] = []
        self._world = world

    async def enter(self, *legs: Leg) -> None:
        for leg in legs:
            assert isinstance(leg, FakeLeg)
            await leg.step()
            assert "music" not in self._world.held or leg is not self._world.leg
        self.inside += [leg for leg in legs if isinstance(leg, FakeLeg)]
        assert len(set(self.inside)) == len(self.inside)

    async def ensure(self, leg: Leg) -> None:
        if leg not in self.inside:
            await self.enter(leg)

    async def leave(self, leg: Leg) -> None:
        assert isinstance(leg, FakeLeg)
        await self._world.operation()
        if leg in self.inside:
            self.inside.remove(leg)


class FakeLeg:
    """Somebody who was called: presses keys, then hangs up."""

    died = False

    def __init__(self, world: World, keys: str = "") -> None:
        self.id = f"leg-{len(world.called)}"
        self.end: LegGone | None = None
        self._world = world
        self._keys = list(keys)
        self._ended = asyncio.Event()
        self._watchers: list[Callable[[str], bool]] = []

    def must_be_there(self) -> None:
        if self.end is not None:
            raise self.end

    def leaves(self, how: LegGone) -> None:
        if self.end is None:
            self.end = how
            self._ended.set()

    async def step(self) -> None:
        self.must_be_there()
        await self._world.operation()
        self.must_be_there()

    async def key(self, timeout: float) -> str | None:
        raise AssertionError("only the caller is asked for keys")

    async def speaks(self, language: str) -> None:
        await self.step()

    async def gone(self) -> None:
        while self is not self._world.leg and self.end is None:
            await self._world.operation()
            if self._keys:
                for _ in range(PAUSE if self._keys[0] == " " else 0):
                    await asyncio.sleep(0)
                self.pressed(self._keys.pop(0))
            else:
                self.leaves(LegGone("hung up"))
        await self._ended.wait()
        if isinstance(self.end, LegLost):
            raise self.end

    async def answer(self) -> None:
        await self.step()

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        raise AssertionError("only the caller is spoken to")

    def pressed(self, key: str | None) -> str | None:
        """The key, unless somebody who watches takes it."""
        if key and any(take(key) for take in self._watchers):
            return None
        return key

    @contextmanager
    def watched(self, take: Callable[[str], bool]) -> Iterator[None]:
        self._watchers.append(take)
        with self._world.holding("watcher"):
            try:
                yield
            finally:
                self._watchers.remove(take)

    @contextmanager
    def holds(self, take: Callable[[bool], None]) -> Iterator[None]:
        with self._world.holding("ear for the hold button"):
            yield

    async def mute(self, muted: bool) -> None:
        await self.step()

    async def hint(self, sounds: Sequence[str]) -> None:
        await self._world.operation()

    def music(self) -> AbstractAsyncContextManager[None]:
        raise AssertionError("only the caller is played to")

    def ringing(self) -> AbstractAsyncContextManager[None]:
        raise AssertionError("a caller never hears ringing")

    async def hang_up(self) -> None:
        self.leaves(LegGone("hung up"))

    async def leave_to_fallback(self) -> None:
        raise AssertionError("the flow never does that")


class CallerLeg(FakeLeg):
    """The caller. `heard` are the prompts, `until_key` as they were asked for."""

    def __init__(self, world: World, story: Story) -> None:
        self.heard: list[str] = []
        self.cut_short: list[str] = []
        self._world = world
        self.id = "caller"
        self.end = None
        self._ended = asyncio.Event()
        self._presses = {prompt: list(keys) for prompt, keys in story.presses.items()}
        self._interrupts = dict(story.interrupts)
        self._watchers: list[Callable[[str], bool]] = []

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        with self._world.holding("playback"):
            for sound in sounds:
                await self.step()
                self.heard.append(sound)
                prompt = sound.partition("/")[2]
                keys = [key for key in self._interrupts.pop(prompt, "") if self.pressed(key)]
                if until_key and keys:
                    self.cut_short.append(sound)
                    return keys[0]
            return None

    async def key(self, timeout: float) -> str | None:
        await self.step()
        asked = [prompt for each in self.heard if (prompt := each.partition("/")[2]) not in HINTS]
        waits = timeout > TIMES.key_timeout and "music" in self._world.held
        keys = self._presses.get(WAITING if waits else asked[-1])
        if keys:
            return self.pressed(keys.pop(0))
        if waits:
            await self._ended.wait()
            self.must_be_there()
        return None

    def music(self) -> AbstractAsyncContextManager[None]:
        return self._music()

    @asynccontextmanager
    async def _music(self) -> AsyncIterator[None]:
        await self.step()
        with self._world.holding("music"):
            try:
                yield
            finally:
                await asyncio.sleep(0)


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


class Record:
    """What was kept of the call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.promised: list[str] = []  #: numbers
        self.messages: dict[UUID, bool] = {}  #: by recording, whether something is to be heard
        self.moments: list[Moment] = []
        self.details: list[dict[str, str | bool | float]] = []
        self.languages: list[str] = []
        self.urgencies: list[Urgency] = []
        self.consultants: list[UUID] = []
        self.recordings: dict[UUID, bool] = {}  #: by id, whether it was said to be stopped

    def moment(self, moment: Moment, **detail: str | bool | float) -> None:
        self.moments.append(moment)
        self.details.append(detail)

    def language(self, language: str) -> None:
        self.languages.append(language)
        self.heard_before_language = len(self._world.leg.heard)

    def urgent(self, urgencies: Sequence[Urgency]) -> None:
        self.urgencies = list(urgencies)

    def consultant(self, consultant_id: UUID) -> None:
        self.consultants.append(consultant_id)

    def recording_started(self, recording_id: UUID, consultant_id: UUID | None, file: str) -> None:
        self.recordings[recording_id] = False

    def recording_stopped(self, recording_id: UUID) -> None:
        assert self.recordings[recording_id] is False, "stopped twice"
        self.recordings[recording_id] = True

    def carried_by(self, leg_id: str) -> None:
        assert leg_id == self._world.leg.id

    async def callback_promised(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        await self._world.operation()
        if not self._world.story.promises_kept:
            raise WeFailed("as the story goes")
        self.promised.append(number)

    async def message_promised(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        await self._world.operation()
        if not self._world.story.promises_kept:
            raise WeFailed("as the story goes")
        assert self.recordings[recording_id] is False, "promised when nothing is recorded"
        self.messages[recording_id] = True

    def message_empty(self, recording_id: UUID) -> None:
        self.messages[recording_id] = False


@dataclass(frozen=True)
class _Times:
    key_timeout: float = 5
    ring_timeout: float = 15
    announce_every: float = 45
    ask_every: float = 120
    patience: float = 300
    urgent_rounds: int = 2
    urgent_alarm: float = 60
    unified_ring_timeout: float = 20
    message_limit: float = 120
    message_shortest: float = 0
    redirect_keys: str = "*14"
    survey_always: bool = False
    shown_number: str = "111"
    spool: Path = Path("/spool")


TIMES = _Times()
