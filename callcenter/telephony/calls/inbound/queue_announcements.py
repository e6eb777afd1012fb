"""Rules of queue announcements: position, expected wait and the choices offered.

Prompts of position and expected wait end in a colon, so that a bare cardinal is correct in Kazakh
and in Russian.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

HIGHEST_POSITION = 100  # beyond it a number only discourages
LONG_WAIT_MINUTES = 10  # minutes; a longer wait is not told


def queue_prompts(position: int, expected_wait: float | None) -> list[str]:
    """Return prompt ids of the position (1 is next) and of the wait in seconds, if any."""
    return [*_place(position), *_wait(expected_wait)]


def _place(position: int) -> list[str]:
    if position <= 1:
        return ["queue_next"]
    if position > HIGHEST_POSITION:
        return ["queue_hold"]
    return ["queue_position", f"number_{position}"]


def _wait(expected_wait: float | None) -> list[str]:
    if expected_wait is None:
        return []
    if expected_wait < 60:
        return ["queue_wait_lt1"]
    minutes = ceil(expected_wait / 60)
    return (
        ["queue_wait_gt10"] if minutes > LONG_WAIT_MINUTES else ["queue_wait", f"number_{minutes}"]
    )


class QueueChoice(Enum):
    """Choice of a waiting caller."""

    STAY = auto()  #: stay in the queue
    UNIFIED_CENTER = auto()  #: 1414 instead of waiting
    OTHER_LANGUAGE = auto()  #: a consultant in another language
    CALLBACK = auto()  #: a callback instead of waiting
    MESSAGE = auto()  #: voicemail instead of waiting


@dataclass(frozen=True, slots=True)
class QueuePrompt:
    """Question to a waiting caller. Any other key means to stay."""

    prompts: tuple[str, ...]
    keys: Mapping[str, QueueChoice]
    silence: QueueChoice = QueueChoice.STAY

    def choice(self, key: str | None) -> QueueChoice:
        """Return the choice of a key, None being silence."""
        return self.silence if key is None else self.keys.get(key, QueueChoice.STAY)


# 5 and 8 signal an urgency in the menu: no question gives these keys another meaning.
_DEFERRED = {"2": QueueChoice.CALLBACK, "4": QueueChoice.MESSAGE}
_ALTERNATIVES = {**_DEFERRED, "3": QueueChoice.UNIFIED_CENTER, "1": QueueChoice.STAY}
_OFFERS = ("callback_offer", "offer_unified_center", "message_offer", "offer_stay")

#: Offered at an interval, so that a caller can end the wait without hanging up.
STILL_WAITING = QueuePrompt(_OFFERS, _ALTERNATIVES)

#: For an urgent caller before the last round of patience: any key is a sign of life.
STILL_THERE = QueuePrompt(("urgent_stay", *_OFFERS[:-1]), _ALTERNATIVES)

#: When neither a consultant nor 1414 could be reached.
NOBODY_REACHED = QueuePrompt(("callback_offer", "message_offer"), _DEFERRED)


def language_unavailable_prompt(
    language: str, other: str | None, *, urgent: bool = False
) -> QueuePrompt:
    """Return the question when no consultant speaks `language`, but maybe `other` (R2).

    The other language is never used without the caller's consent. An `urgent` caller, who may be
    unable to press a key, is told that silence is consent.
    """
    notice = (f"nobody_speaks_{language}", "emergency_hint")
    if other is None:
        return QueuePrompt((*notice, *_OFFERS), _ALTERNATIVES)
    keys = {"6": QueueChoice.OTHER_LANGUAGE, **_ALTERNATIVES}
    if urgent:
        agreed = (*notice, f"offer_{other}", "urgent_other_language")
        return QueuePrompt(agreed, keys, silence=QueueChoice.OTHER_LANGUAGE)
    return QueuePrompt((*notice, f"offer_{other}", *_OFFERS), keys)
