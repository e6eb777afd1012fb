"""Urgent callers: keys that signal silence or danger, and how an urgent call is served.

In the greeting, in menus, while waiting and on the way to 1414 5 means "I cannot speak" and 8 "I am
in danger"; two stars mean danger at any time until the caller is connected with 1414, whose menus
are its own. In digit collection and in the survey 5 and 8 are digits.
An urgent call skips what can be skipped and has an urgent place in the queue; the appeal and the
consultant's telephone say why, and the caller's keys are recorded during the conversation. It stays
in the queue while a consultant is signed in, until the caller is silent for the last of several
rounds of patience; supervisors are alerted long before.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency

T = TypeVar("T")

log = logging.getLogger(__name__)

DANGER_KEYS = {"8": Urgency.DANGER}
URGENT_KEYS = {"5": Urgency.SILENT, **DANGER_KEYS}
WORDS = {Urgency.SILENT: "silent_words", Urgency.DANGER: "danger_words"}
STAR = "*"
SECOND_STAR_TIMEOUT = 2.0  # seconds within which the second star follows the first

RECORDED_KEYS_LIMIT = 200  # keys of one conversation
KEYS_PER_SECOND = 5  # more is noise


@contextmanager
def panic_code_enabled(call: Call) -> Iterator[None]:
    """Enable the panic code within the block: two stars make the call urgent."""
    first_star = float("-inf")

    def take(key: str) -> bool:
        nonlocal first_star
        if key != STAR or call.if_left is Outcome.REDIRECTED:
            first_star = float("-inf")
            return False
        now = time.monotonic()
        is_second = now - first_star <= SECOND_STAR_TIMEOUT
        first_star = float("-inf") if is_second else now
        if is_second:
            call.mark_urgent(Urgency.DANGER)
        return is_second

    with call.leg.intercept_dtmf(take):
        yield


@contextmanager
def accept_urgent_keys(call: Call) -> Iterator[None]:
    """Accept the urgent keys within the block: 5 and 8 make the call urgent."""
    with call.leg.intercept_dtmf(_make_interceptor(call, URGENT_KEYS)):
        yield


async def interrupt_if_urgent(
    call: Call, keys: Mapping[str, Urgency], work: Coroutine[Any, Any, T]
) -> T | None:
    """Run `work`, cancelled as soon as the call is urgent; returns its result or None.

    Meanwhile `keys` make the call urgent. When this returns, `work` has ended and released what it
    held; a result that it had reached by then is returned.
    """
    if call.urgencies:
        work.close()
        return None
    with call.leg.intercept_dtmf(_make_interceptor(call, keys)):
        return await _run_until(work, call.urgent.wait())


def _make_interceptor(call: Call, keys: Mapping[str, Urgency]) -> Callable[[str], bool]:
    def take(key: str) -> bool:
        if key not in keys or call.if_left is Outcome.REDIRECTED:
            return False
        call.mark_urgent(keys[key])
        return True

    return take


async def _run_until(work: Coroutine[Any, Any, T], end: Coroutine[Any, Any, object]) -> T | None:
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


async def may_extend_patience(call: Call) -> bool:
    """Start another round of patience if the caller may have one; returns whether.

    An urgent caller has one while any consultant is signed in, or when that cannot be read.
    """
    if not call.urgencies or call.is_last_round:
        return False
    try:
        queue_position = await call.queue.position_of(call.leg.id, call.consultant_language)
        if not (queue_position.speakers or queue_position.other_languages):
            return False
    except OperationFailed as exc:
        log.error("queue position unavailable: call %s: %s", call.leg.id, exc)
    call.extend_patience()
    return True


async def alert_supervisors_periodically(call: Call) -> None:
    """Alert supervisors at the set interval while an urgent caller waits.

    Runs until cancelled; returns at once when the call is not urgent.
    """
    while call.urgencies:
        await asyncio.sleep(call.times.urgent_alarm)
        await call.alert_urgent_waiting()


def opening_prompt(call: Call) -> str:
    """Return the prompt that opens the wait for a consultant."""
    return WORDS[call.urgencies[-1]] if call.urgencies else "connecting"


def display_text(call: Call) -> str:
    """Return the display text for the consultant's telephone, in ASCII letters."""
    parts = [call.consultant_language, *(urgency.name for urgency in call.urgencies)]
    marks = {"CALLBACK": call.is_callback, "BLOCKED": call.blocked}
    return " ".join([*parts, *(mark for mark, is_so in marks.items() if is_so)])


@contextmanager
def collect_conversation_keys(call: Call) -> Iterator[None]:
    """Collect the caller's keys within the block as answers to the consultant.

    The consultant sees the last ones. Those of an urgent call are recorded on the appeal, 200 at
    most and 5 a second: the caller may be able to do no more than press 1 for yes and 2 for no.
    """
    limit = KeyRateLimit()

    def take(key: str) -> bool:
        call.keys_seen.append(key)
        if call.urgencies and limit.admits(time.monotonic()):
            call.record.add_event(CallEvent.KEY, key=key)
        return True

    with call.leg.intercept_dtmf(take):
        yield


class KeyRateLimit:
    """Rate limit of the keys that are recorded in one conversation."""

    def __init__(self) -> None:
        self._left = RECORDED_KEYS_LIMIT
        self._newest: deque[float] = deque(maxlen=KEYS_PER_SECOND)

    def admits(self, now: float) -> bool:
        """Whether a key pressed `now` (monotonic seconds) is recorded."""
        is_full = len(self._newest) == KEYS_PER_SECOND
        if self._left == 0 or (is_full and now - self._newest[0] < 1):
            return False
        self._left -= 1
        self._newest.append(now)
        return True
