"""A consultant hears a message that a caller left, and says what is to become of it.

The consultant's own telephone is rung, as for a call. Each time the message is played its audio is
laid out for that alone, and the audit log has its entry before the first sound.
"""

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from callcenter.errors import WeFailed
from callcenter.line.ports import Consultant, Leg, LegGone, NotAnswered, Place, Sounds, Switch

ASKED = 3  # times that whoever has heard it is asked; silence then means later
SHORTER = 1.0  # seconds by which a message may seem shorter that was played to its end


@dataclass(frozen=True, slots=True)
class Audio:
    """What the switch plays, and for how many seconds."""

    sound: str
    seconds: float


class Message(Protocol):
    """A message as it is kept. What is away raises WeFailed."""

    def played_to(self, consultant: Consultant) -> AbstractAsyncContextManager[Audio]:
        """Its audio, within the block; that this consultant hears it is put down before."""

    async def done(self, consultant: Consultant) -> None:
        """Put down that nobody has to hear it any more."""

    async def call_begun(self, consultant: Consultant) -> str | None:
        """Put down that the applicant is called now; or the prompt that says why not."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """A message in `language`; `shown` is what the consultant's telephone shows."""

    message: Message
    language: str
    shown: str
    ring_timeout: float
    key_timeout: float
    sounds: Sounds
    switch: Switch


class Wish(Enum):
    """What the consultant made of the message."""

    DONE = auto()  #: it is nobody's task any more
    CALL = auto()  #: the applicant is called now, which has been put down
    LATER = auto()  #: it comes again, as when the consultant hung up or pressed nothing
    UNANSWERED = auto()  #: the telephone was not answered


async def heard(hearing: Hearing, place: Place, consultant: Consultant) -> Wish:
    """Ring the consultant whom `place` holds, and play the message as often as is wished.

    At the end the consultant has been hung up, and is leased yet unless UNANSWERED. Cancelling
    hangs up.
    """
    place.rings()
    listening = _Listening(hearing, consultant)
    ring = hearing.switch.ring(consultant.extension, None, hearing.shown, hearing.ring_timeout)
    try:
        async with ring as leg:
            place.answered(alone=True)
            return await listening.through(leg)
    except NotAnswered:
        await place.give_back(unanswered=True)
        return Wish.UNANSWERED
    except LegGone:
        return listening.if_left


class _Listening:
    """One consultant with one message. `if_left` is the wish should the consultant leave now."""

    def __init__(self, hearing: Hearing, consultant: Consultant) -> None:
        self.if_left = Wish.LATER
        self._hearing = hearing
        self._message = hearing.message
        self._consultant = consultant
        self._was_whole = False

    async def through(self, leg: Leg) -> Wish:
        """From the notice to the wish. Raises LegGone."""
        await self._say(leg, "hearing_begin", until_key=False)
        try:
            self.if_left = await self._wish(leg)
        except WeFailed:
            await self._say(leg, "hearing_failed", until_key=False)
            raise
        await self._say(leg, f"hearing_{self.if_left.name.lower()}", until_key=False)
        return self.if_left

    async def _wish(self, leg: Leg) -> Wish:
        key = await self._played(leg)
        while True:
            match key or await self._asked(leg):
                case "1":
                    key = await self._played(leg)
                case "2" if self._was_whole:
                    await self._message.done(self._consultant)
                    return Wish.DONE
                case "2":  # nobody's plea is put aside unheard, by a key pressed by mistake
                    key = await self._say(leg, "hearing_not_whole")
                case "3":
                    refusal = await self._message.call_begun(self._consultant)
                    if refusal is None:
                        return Wish.CALL
                    key = await self._say(leg, refusal)
                case "9" | None:
                    return Wish.LATER
                case _:
                    key = None

    async def _asked(self, leg: Leg) -> str | None:
        for _ in range(ASKED):
            key = await self._say(leg, "hearing_keys") or await leg.key(self._hearing.key_timeout)
            if key is not None:
                return key
        return None

    async def _played(self, leg: Leg) -> str | None:
        async with self._message.played_to(self._consultant) as audio:
            began = time.monotonic()
            key = await leg.play([audio.sound])
            if key is None:
                if time.monotonic() - began < audio.seconds - SHORTER:
                    raise WeFailed("the switch did not play the message")
                self._was_whole = True
            return key

    async def _say(self, leg: Leg, prompt: str, *, until_key: bool = True) -> str | None:
        sound = self._hearing.sounds.sound(self._hearing.language, prompt)
        return await leg.play([sound], until_key=until_key)
