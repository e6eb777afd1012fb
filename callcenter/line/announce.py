"""What a waiting caller is told of the queue and asked, as prompts of any language.

The prompts of place and expected wait end in a colon, so that a bare cardinal is right in Kazakh
and in Russian.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

HIGHEST = 100  # numbers are spoken up to here; beyond it a number only discourages
LONG = 10  # minutes beyond which the wait is not promised


def queue_prompts(position: int, expected_wait: float | None) -> list[str]:
    """Prompt ids that tell the place in the queue (1 is next) and the wait in seconds, if known."""
    return [*_place(position), *_wait(expected_wait)]


def _place(position: int) -> list[str]:
    if position <= 1:
        return ["queue_next"]
    if position > HIGHEST:
        return ["queue_hold"]
    return ["queue_position", f"number_{position}"]


def _wait(expected_wait: float | None) -> list[str]:
    if expected_wait is None:
        return []
    if expected_wait < 60:
        return ["queue_wait_lt1"]
    minutes = ceil(expected_wait / 60)
    return ["queue_wait_gt10"] if minutes > LONG else ["queue_wait", f"number_{minutes}"]


class Choice(Enum):
    """What a waiting caller may choose."""

    STAY = auto()  #: to keep waiting
    UNIFIED_CENTER = auto()  #: 1414 instead of waiting
    OTHER_LANGUAGE = auto()  #: a consultant who speaks another language
    CALLBACK = auto()  #: to be called back instead of waiting
    MESSAGE = auto()  #: to leave a message instead of waiting


@dataclass(frozen=True, slots=True)
class Question:
    """What a waiting caller is asked. Any other key means to keep waiting."""

    prompts: tuple[str, ...]
    keys: Mapping[str, Choice]
    silence: Choice = Choice.STAY

    def choice(self, key: str | None) -> Choice:
        """What the key (None: silence) chooses."""
        return self.silence if key is None else self.keys.get(key, Choice.STAY)


# In the menu 5 and 8 tell of urgency: no question gives these keys another meaning.
_NEITHER = {"2": Choice.CALLBACK, "4": Choice.MESSAGE}
_INSTEAD = {**_NEITHER, "3": Choice.UNIFIED_CENTER, "1": Choice.STAY}
_OFFERS = ("callback_offer", "offer_unified_center", "message_offer", "offer_stay")

#: Every wait is bounded: the caller may end it in another way than by hanging up.
STILL_WAITING = Question(_OFFERS, _INSTEAD)

#: To an urgent caller before the last round of patience: any key is a word of whoever is there.
STILL_THERE = Question(("urgent_stay", *_OFFERS[:-1]), _INSTEAD)

#: When neither a consultant nor 1414 could be reached: the last that the line has to offer.
NOBODY_REACHED = Question(("callback_offer", "message_offer"), _NEITHER)


def nobody_there(language: str, other: str | None, *, urgent: bool = False) -> Question:
    """Nobody signed in speaks `language`; somebody speaks `other`, unless that is None (R2).

    The other language is never used before the caller has agreed to it. An `urgent` caller, who
    may be unable to press a key, is told that saying nothing is agreeing.
    """
    told = (f"nobody_speaks_{language}", "emergency_hint")
    if other is None:
        return Question((*told, *_OFFERS), _INSTEAD)
    keys = {"6": Choice.OTHER_LANGUAGE, **_INSTEAD}
    if urgent:
        agreed = (*told, f"offer_{other}", "urgent_other_language")
        return Question(agreed, keys, silence=Choice.OTHER_LANGUAGE)
    return Question((*told, f"offer_{other}", *_OFFERS), keys)
