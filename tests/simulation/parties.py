"""Callers and consultants: what people do, drawn from the seed."""

from collections.abc import Callable, Sequence

from tests.seeds import SeededRandom
from tests.simulation.loop import VirtualLoop
from tests.simulation.switch import SimulatedSwitch, SwitchChannel


class Caller:
    """Somebody who calls 111: chooses, waits for a while, talks, and hangs up."""

    def __init__(self, loop: VirtualLoop, switch: SimulatedSwitch, random: SeededRandom) -> None:
        self._loop = loop
        self._switch = switch
        self._random = random
        self._patience = random.uniform(10, 40)
        self.channel: SwitchChannel | None = None
        self.number = f"+7701{random.randrange(10**7):07d}"
        self.is_in_fallback = False
        self.is_over = False
        self.hung_up = False  #: the caller did, or the consultant ended the conversation
        self.on_fallback: Callable[[SwitchChannel, str], None] | None = None
        self.on_first_sound: Callable[[float], None] | None = None
        self._called_at: float | None = None  # until the first sound
        self._talks_since: float | None = None

    def call(self) -> None:
        """Call now."""
        self._called_at = self._loop.now
        self.channel = self._switch.call(self.number, self)
        self._loop.outside_after(self._patience, self._lose_patience)

    def hears(self, channel: SwitchChannel, sounds: Sequence[str]) -> None:
        self.channel = channel
        self._begin_to_hear()
        for prompt, keys in (("lang_choice", "120"), ("menu_main", "1111113")):
            if any(each.endswith(prompt) for each in sounds) and self._random.random() < 0.85:
                key = self._random.choice(keys)
                delay = self._random.uniform(0.2, 0.6 * len(sounds) + 0.5)
                self._loop.outside_after(delay, self._switch.press, channel, key)

    def is_connected(self, channel: SwitchChannel, other: SwitchChannel) -> None:
        if self._talks_since is None:
            self._talks_since = self._loop.now
            length = self._random.uniform(2, 30)
            who = other if self._random.random() < 0.5 else channel
            self._loop.outside_after(length, self._end_talk, who)

    def falls_back(self, channel: SwitchChannel, why: str) -> None:
        self.channel, self.is_in_fallback = channel, True
        self._begin_to_hear()
        if self.on_fallback is not None:
            self.on_fallback(channel, why)
        self._loop.outside_after(self._random.uniform(5, 25), self._hang_up, channel)

    def has_ended(self, channel: SwitchChannel) -> None:
        self.is_over = True

    def _begin_to_hear(self) -> None:
        if self._called_at is not None and self.on_first_sound is not None:
            self.on_first_sound(self._called_at)
        self._called_at = None

    def _end_talk(self, who: SwitchChannel) -> None:
        self._hang_up(who)
        if self.channel is not None:  # and if nobody ends the call, after a while the caller does
            self._loop.outside_after(20.0, self._hang_up, self.channel)

    def _lose_patience(self) -> None:
        if self.channel is not None and self._talks_since is None:
            self._hang_up(self.channel)

    def _hang_up(self, who: SwitchChannel) -> None:
        self.hung_up = True
        self._switch.hang_up(who)


class ConsultantTelephone:
    """A consultant with a telephone, who answers most of the time."""

    def __init__(self, loop: VirtualLoop, switch: SimulatedSwitch, random: SeededRandom) -> None:
        self._loop = loop
        self._switch = switch
        self._random = random
        self._calls: set[str] = set()

    @property
    def is_busy(self) -> bool:
        return bool(self._calls)

    def rings(self, channel: SwitchChannel) -> None:
        channel.party = self
        if self._calls:
            self._loop.outside_after(0.05, self._switch.hang_up, channel, 17)
        elif self._random.random() < 0.85:
            delay = self._random.uniform(0.5, 4)
            self._loop.outside_after(delay, self._switch.answer, channel)
        channel.state = "Ringing"
        self._calls.add(channel.id)

    def hears(self, channel: SwitchChannel, sounds: Sequence[str]) -> None:
        pass

    def is_connected(self, channel: SwitchChannel, other: SwitchChannel) -> None:
        pass

    def falls_back(self, channel: SwitchChannel, why: str) -> None:
        self._switch.hang_up(channel)

    def has_ended(self, channel: SwitchChannel) -> None:
        self._calls.discard(channel.id)


class UnifiedCenter(ConsultantTelephone):
    """1414, which has many telephones and talks for a while."""

    def rings(self, channel: SwitchChannel) -> None:
        self._calls.clear()
        super().rings(channel)
        self._loop.outside_after(self._random.uniform(10, 30), self._switch.hang_up, channel)
