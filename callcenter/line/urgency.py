"""Callers who cannot speak, or are in danger: what they press, and what the call owes them.

In the greeting, in menus, while waiting and on the way to 1414 5 says "I cannot speak" and 8 "I am
in danger"; two stars say "danger" at any time until the caller is connected with 1414, whose menus
are its own. Where a number is keyed, and in the mark after a conversation, 5 and 8 are digits.
What follows: whatever can be skipped is skipped, the place in the queue is an urgent one, the
appeal says why, the consultant's telephone shows it, and the caller's keys are kept while the two
talk. Nobody is sent away from that place while a consultant is signed in, unless asked and silent
for the last of several rounds of patience; supervisors are alarmed long before.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.outcomes import Moment, Outcome, Urgency

T = TypeVar("T")

log = logging.getLogger(__name__)

DANGER_KEYS = {"8": Urgency.DANGER}
URGENT_KEYS = {"5": Urgency.SILENT, **DANGER_KEYS}
WORDS = {Urgency.SILENT: "silent_words", Urgency.DANGER: "danger_words"}
STAR = "*"
STARS_APART = 2.0  # seconds within which the second star follows the first

KEYS_KEPT = 200  # of one conversation: somebody may lean on the keys
KEYS_A_SECOND = 5  # more is no person who answers questions


@contextmanager
def danger_at_any_time(call: Call) -> Iterator[None]:
    """Within the block two stars make the call urgent, whatever it is doing."""
    first_star = float("-inf")

    def take(key: str) -> bool:
        nonlocal first_star
        if key != STAR or call.if_left is Outcome.REDIRECTED:
            first_star = float("-inf")
            return False
        now = time.monotonic()
        is_second = now - first_star <= STARS_APART
        first_star = float("-inf") if is_second else now
        if is_second:
            call.becomes_urgent(Urgency.DANGER)
        return is_second

    with call.leg.watched(take):
        yield


@contextmanager
def urgent_by_key(call: Call) -> Iterator[None]:
    """Within the block 5 and 8 make the call urgent."""
    with call.leg.watched(_taker(call, URGENT_KEYS)):
        yield


async def unless_urgent(
    call: Call, keys: Mapping[str, Urgency], work: Coroutine[Any, Any, T]
) -> T | None:
    """The result of `work`, or None when the call is urgent or becomes so: then `work` is cut.

    Within it `keys` make the call urgent. When this returns, `work` has ended with all that it
    took given back; a result that it had reached by then is returned.
    """
    if call.urgencies:
        work.close()
        return None
    with call.leg.watched(_taker(call, keys)):
        return await _first(work, call.urgent.wait())


def _taker(call: Call, keys: Mapping[str, Urgency]) -> Callable[[str], bool]:
    def take(key: str) -> bool:
        if key not in keys or call.if_left is Outcome.REDIRECTED:
            return False
        call.becomes_urgent(keys[key])
        return True

    return take


async def _first(work: Coroutine[Any, Any, T], end: Coroutine[Any, Any, object]) -> T | None:
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(end)
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
        return None if working.cancelled() else working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


async def waits_longer(call: Call) -> bool:
    """Whether this caller stays though patience has ended: another round of it begins then.

    So does who is urgent while anybody is signed in, in whatever language, or that is not known.
    """
    if not call.urgencies or call.is_last_round:
        return False
    try:
        standing = await call.queue.standing(call.leg.id, call.wanted_language)
        if not (standing.speakers or standing.other_languages):
            return False
    except WeFailed as exc:
        log.error("call %s: %s", call.leg.id, exc)
    call.waits_longer()
    return True


async def alarmed(call: Call) -> None:
    """While an urgent caller waits, alarm the supervisors after the set time, again and again.

    Until cancelled; returns at once for anybody else.
    """
    while call.urgencies:
        await asyncio.sleep(call.times.urgent_alarm)
        await call.queue.urgent_waits(call.leg.id, call.wanted_language)


def words_at_first(call: Call) -> str:
    """The prompt with which waiting for a consultant begins."""
    return WORDS[call.urgencies[-1]] if call.urgencies else "connecting"


def shown(call: Call) -> str:
    """What the consultant's telephone shows of the caller, in letters of ASCII."""
    words = [call.wanted_language, *(urgency.name for urgency in call.urgencies)]
    marks = {"CALLBACK": call.is_callback, "BLOCKED": call.blocked}
    return " ".join([*words, *(mark for mark, is_so in marks.items() if is_so)])


@contextmanager
def keys_of_a_conversation(call: Call) -> Iterator[None]:
    """Within the block the caller's keys are answers to the consultant, and to nobody else.

    The consultant sees the last ones. Those of an urgent call are kept on the appeal, 200 at most
    and 5 a second: the caller may be unable to do more than press 1 for yes and 2 for no.
    """
    limit = KeyLimit()

    def take(key: str) -> bool:
        call.keys_seen.append(key)
        if call.urgencies and limit.admits(time.monotonic()):
            call.record.moment(Moment.KEY, key=key)
        return True

    with call.leg.watched(take):
        yield


class KeyLimit:
    """How many keys of one conversation are kept."""

    def __init__(self) -> None:
        self._left = KEYS_KEPT
        self._newest: deque[float] = deque(maxlen=KEYS_A_SECOND)

    def admits(self, now: float) -> bool:
        """Whether a key pressed `now` (seconds of a clock that never goes back) is kept."""
        is_full = len(self._newest) == KEYS_A_SECOND
        if self._left == 0 or (is_full and now - self._newest[0] < 1):
            return False
        self._left -= 1
        self._newest.append(now)
        return True
