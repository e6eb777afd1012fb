"""Fake legs and a fake bridge."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from callcenter.telephony.calls.ports import (
    Leg,
    LegHungUp,
    LegLost,
    TransferReport,
    TransferRequest,
)
from tests.flow.story import TIMES, WAITING, Story
from tests.flow.turns import Turns

HINTS = {"urgent_keys", "danger_stars"}  #: said after a question, and part of it
PAUSE = 30  #: turns of the loop for which a key that is a blank waits


DEATH = "!"  #: in place of a key: the telephone dies
STAYS = "_"  #: in place of a key: nothing more until the leg ends


class FakeLeg:
    """Fake leg of a called party: presses keys, then hangs up."""

    def __init__(self, turns: Turns, identity: str, keys: str = "") -> None:
        self.connection_lost = self.is_held = False
        self.id = identity
        self.heard_alone: list[str] = []  #: what was played to this party alone
        self.end: LegHungUp | None = None
        self.is_missing = False  #: the switch does not have it, and has not reported its end
        self._turns = turns
        self._keys = list(keys)
        self._ended = asyncio.Event()
        self._watchers: list[Callable[[str], bool]] = []
        self._hold_listeners: list[Callable[[bool], None]] = []

    def must_be_there(self) -> None:
        if self.is_missing or self.end is not None:
            raise self.end or LegHungUp("not found")

    def leaves(self, how: LegHungUp) -> None:
        if self.end is None:
            self.end = how
            self._ended.set()

    async def step(self) -> None:
        self.must_be_there()
        await self._turns.operation()
        self.must_be_there()

    async def key(self, timeout: float) -> str | None:
        raise AssertionError("only the caller is asked for keys")

    async def set_language(self, language: str) -> None:
        await self.step()

    async def wait_hangup(self) -> None:
        await self._run()
        await self._ended.wait()
        if isinstance(self.end, LegLost):
            raise self.end

    async def _run(self) -> None:
        while self.end is None:
            await self._turns.operation()
            if self._keys:
                for _ in range(PAUSE if self._keys[0] == " " else 0):
                    await asyncio.sleep(0)
                if self._keys[0] == DEATH:
                    await self.die()
                    return
                if self._keys[0] == STAYS:
                    return
                self.pressed(self._keys.pop(0))
            else:
                self.leaves(LegHungUp("hung up"))

    async def die(self) -> None:
        self.connection_lost = True
        self.leaves(LegHungUp("died"))

    async def answer(self) -> None:
        await self.step()

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        raise AssertionError("only the caller is spoken to")

    def pressed(self, key: str | None) -> str | None:
        """Return the key, unless an interceptor takes it."""
        if key and any(take(key) for take in self._watchers):
            return None
        return key

    @contextmanager
    def intercept_dtmf(self, take: Callable[[str], bool]) -> Iterator[None]:
        self._watchers.append(take)
        with self._turns.holding("watcher"):
            try:
                yield
            finally:
                self._watchers.remove(take)

    @contextmanager
    def on_hold_change(self, take: Callable[[bool], None]) -> Iterator[None]:
        self._hold_listeners.append(take)
        with self._turns.holding("ear for the hold button"):
            try:
                yield
            finally:
                self._hold_listeners.remove(take)

    def press_hold(self, is_held: bool) -> None:
        """Hold or resume, by the telephone's button."""
        self.is_held = is_held
        for take in self._hold_listeners:
            take(is_held)

    @contextmanager
    def on_transfer(self, take: Callable[[TransferRequest], None]) -> Iterator[None]:
        with self._turns.holding("ear for transfers"):
            yield

    async def report_transfer(self, report: TransferReport) -> None:
        await self._turns.operation()

    async def mute(self, muted: bool) -> None:
        await self.step()

    async def packets_received(self) -> int:
        await self.step()
        return 0

    async def play_privately(self, sounds: Sequence[str]) -> None:
        await self._turns.operation()
        self.heard_alone += sounds

    def music(self) -> AbstractAsyncContextManager[None]:
        raise AssertionError("only the caller is played to")

    def ringing(self) -> AbstractAsyncContextManager[None]:
        raise AssertionError("a caller never hears ringing")

    async def hang_up(self) -> None:
        self.leaves(LegHungUp("hung up"))

    async def continue_in_fallback(self) -> None:
        raise AssertionError("the flow never does that")


class CallerLeg(FakeLeg):
    """Fake leg of the caller. `heard` are the prompts played, `cut_short` the interrupted ones."""

    def __init__(self, turns: Turns, story: Story) -> None:
        super().__init__(turns, "caller")
        self.heard: list[str] = []
        self.cut_short: list[str] = []
        self._presses = {prompt: list(keys) for prompt, keys in story.presses.items()}
        self._interrupts = dict(story.interrupts)

    async def _run(self) -> None:
        """Do nothing: the story drives the caller."""

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        with self._turns.holding("playback"):
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
        questions = [
            prompt for each in self.heard if (prompt := each.partition("/")[2]) not in HINTS
        ]
        waits = timeout > TIMES.key_timeout and "music" in self._turns.held
        keys = self._presses.get(WAITING if waits else questions[-1])
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
        with self._turns.holding("music"):
            try:
                yield
            finally:
                await asyncio.sleep(0)


class FakeBridge:
    """Fake bridge."""

    def __init__(self, turns: Turns) -> None:
        self.inside: list[FakeLeg] = []
        self._turns = turns

    async def enter(self, *legs: Leg) -> None:
        for leg in legs:
            assert isinstance(leg, FakeLeg)
            await leg.step()
            assert "music" not in self._turns.held or not isinstance(leg, CallerLeg)
        self.inside += [leg for leg in legs if isinstance(leg, FakeLeg)]
        assert len(set(self.inside)) == len(self.inside)

    async def ensure(self, leg: Leg) -> None:
        if leg not in self.inside:
            await self.enter(leg)

    async def leave(self, leg: Leg) -> None:
        assert isinstance(leg, FakeLeg)
        await self._turns.operation()
        if leg in self.inside:
            self.inside.remove(leg)
