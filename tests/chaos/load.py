"""Callers and consultants who go on whatever fails, and what each of them lived through."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from callcenter.platform.core.errors import CallcenterError
from callcenter.sipphone.audio import RATE, Pcm, loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.seeds import SeededRandom

CONVERSATIONS = 3  # that go on at once, if a caller comes every few seconds
SILENCE = 3.0  # seconds
FIFTH = RATE // 5  # samples: of these a second is made in which a tone is heard
#: What callers do, and how many of them; the others talk.
STORIES = {"leaves": 1, "chooses": 1, "waits": 1, "messages": 2, "talks": 6}
#: What consultants do with a caller whom they have.
ACTIONS = {"talks": 4, "holds": 2, "transfers": 1, "sends back": 1}
FAILED = (CallcenterError, TimeoutError, OSError)


@dataclass(eq=False, slots=True)
class Attempt:
    """One call to 111, as the caller lived through it."""

    number: str
    call: SipCall | None = None
    answered: bool = False
    talked: bool = False
    talks: bool = False  #: now
    left: bool = False  #: of the caller's own will: nobody and nothing else ended it
    began: float = field(default_factory=time.monotonic)
    ended: float = math.inf

    def was_there(self, began: float, ended: float) -> bool:
        """Between these two moments."""
        return self.began < ended and self.ended > began

    @property
    def heard_a_consultant(self) -> float:
        """Seconds of it that reached the caller, who asks nobody what became of them."""
        return 0.0 if self.call is None else toned(self.call.heard.joined(), CONSULTANT_TONE)


@dataclass
class Load:
    """All callers of a run. While `calm` is not set conversations go on."""

    call_center: CallCenter
    seed: int
    crew: Sequence[str]  #: extensions of those at work
    talk: float = 1.0  #: how many times longer than else they talk, so that more do at once
    attempts: list[Attempt] = field(default_factory=list)
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    callers: set[asyncio.Task[None]] = field(default_factory=set)
    legs: set[SipCall] = field(default_factory=set)  #: of consultants, in conversations now

    def __post_init__(self) -> None:
        self.rng = SeededRandom(self.seed)
        self.calm.set()

    @property
    def talking(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.talks]

    def begin(self) -> None:
        """One more caller, with a story by chance."""
        number = f"+7705{self.seed % 1000:03}{len(self.attempts):04}"
        story = self.rng.choices(list(STORIES), list(STORIES.values()))[0]
        attempt = Attempt(number)
        self.attempts.append(attempt)
        task = asyncio.create_task(self._instances(attempt, story, self.rng.uniform(2, 6)))
        self.callers.add(task)
        task.add_done_callback(self.callers.discard)

    async def _instances(self, attempt: Attempt, story: str, patience: float) -> None:
        async with self.call_center.phone(attempt.number) as phone:
            try:
                call = attempt.call = await phone.call("111")
                await call.answered()
                attempt.answered = True
                call.send_tone(CALLER_TONE)
                await asyncio.sleep(0.3)
                if story in ("waits", "talks"):
                    await call.press("0")
                    talks = story == "talks"
                    length = 2 * patience * self.talk
                    await self._talks(attempt, call, length, 60 if talks else patience)
                elif story == "messages":
                    await self._leaves_a_message(call, patience)
                elif story == "chooses":
                    await call.press("2")
                    await asyncio.sleep(patience)
                else:
                    await asyncio.sleep(patience / 3)
                attempt.left = not (call.is_over or is_dead(call))
                await call.hang_up()
            except FAILED:
                if attempt.call is not None:
                    attempt.call.drop()
            finally:
                attempt.ended = time.monotonic()

    async def _leaves_a_message(self, call: SipCall, length: float) -> None:
        """Instead of waiting: whoever is connected sooner talks, which is all right too."""
        await call.press("0")
        for _ in range(2):
            await asyncio.sleep(2)
            await call.press("4")
        await asyncio.sleep(length)
        await self.calm.wait()

    async def _talks(self, attempt: Attempt, call: SipCall, length: float, patience: float) -> None:
        """Wait for a consultant, then talk, and on while somebody injects a fault."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._is_connected(attempt, call)
        if not attempt.talked:
            return
        attempt.talks = not call.is_over
        try:
            await asyncio.sleep(length)
            await self.calm.wait()
        finally:
            attempt.talks = False

    async def _is_connected(self, attempt: Attempt, call: SipCall) -> None:
        while not (attempt.talked or call.is_over):
            attempt.talked = hears(call, CONSULTANT_TONE)
            await asyncio.sleep(0.2)


def is_dead(call: SipCall) -> bool:
    """Whether no sound comes for seconds, as when the switch was killed: nobody says goodbye."""
    packets = call.heard.packets
    return bool(packets) and time.monotonic() - packets[-1].arrived_at > SILENCE


def longest_gap(call: SipCall, since: float) -> float:
    """Seconds between two packets that reached the telephone."""
    arrived = [p.arrived_at for p in call.heard.packets if p.arrived_at >= since]
    return max((after - before for before, after in pairwise(arrived)), default=0.0)


def hears(call: SipCall, hertz: float) -> bool:
    """This tone for the whole last second: speech has it in it too, for shorter."""
    second = call.heard.joined(time.monotonic() - 1.2)[-RATE:]
    return len(second) == RATE and toned(second, hertz) == 1.0


def toned(sound: Pcm, hertz: float) -> float:
    """Seconds of it in which this tone is heard for a second or longer."""
    fifths = (sound[at : at + FIFTH] for at in range(0, len(sound) - FIFTH + 1, FIFTH))
    loud = groupby(loudness(each, hertz) > -30 for each in fifths)
    runs = [len(list(run)) for is_loud, run in loud if is_loud]
    return sum(run for run in runs if run >= RATE // FIFTH) * FIFTH / RATE


@asynccontextmanager
async def at_work(load: Load, extension: str) -> AsyncIterator[None]:
    """A consultant who takes every call, and registers anew as telephones do."""
    async with load.call_center.softphone(extension) as phone:
        await phone.register()
        own = SeededRandom(f"{extension} {load.seed}")
        working = (_takes_calls(phone, load, own), _registers(phone))
        tasks = [asyncio.create_task(each) for each in working]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _takes_calls(phone: Phone, load: Load, own: SeededRandom) -> None:
    while True:
        try:
            leg = await phone.next_call(3600)
            await asyncio.sleep(own.uniform(0, 1.5))  # it rings
            await leg.answer()
            leg.send_tone(CONSULTANT_TONE)
            load.legs.add(leg)
            action = own.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            await asyncio.sleep(own.uniform(0.5, 2))
            await _does(leg, action, own.choice(load.crew), load.calm)
            while not leg.is_over and not is_dead(leg):
                await asyncio.sleep(0.2)
            leg.drop()
        except FAILED:
            continue
        finally:
            load.legs = {each for each in load.legs if not each.is_over}


async def _does(leg: SipCall, action: str, other: str, calm: asyncio.Event) -> None:
    """Not while a fault is injected: what is heard then is to be the fault's."""
    if action == "talks":
        return
    await calm.wait()
    if action == "holds":
        await leg.press("*5")
        await asyncio.sleep(4)
        await calm.wait()
        await leg.press("*5")
    else:
        await leg.press("*00" if action == "sends back" else f"*3{other}#")


async def _registers(phone: Phone) -> None:
    while True:
        await asyncio.sleep(5)
        try:
            await phone.register()
        except FAILED:
            continue
