"""What a waiting caller is promised instead: to be called back at the same place in the queue.

Whoever calls from home may be in danger at home, so no number is called without a yes to that very
number. The promise is kept in PostgreSQL before the caller hears it.
"""

import logging
import time

from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.keyed import keyed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.prompts.texts import spelled

log = logging.getLogger(__name__)

TRIES = 3  # numbers that are read back before the caller waits on


async def callback_promised(call: Call) -> bool:
    """Agree on a number that is safe to call, and promise; False when the caller waits on.

    Until the promise is kept nothing has changed. Raises LegGone.
    """
    number = await _safe_number(call)
    if number is None:
        call.record.moment(Moment.CALLBACK_NOT_ASKED)
        await call.say("callback_not_asked", until_key=False)
        return False
    try:
        await call.record.callback_promised(
            number=number,
            language=call.wanted_language,
            arrived=call.waits_since or time.time(),
            urgent=bool(call.urgencies),
        )
    except WeFailed as exc:
        log.error("call %s: no callback can be promised: %s", call.leg.id, exc)
        await call.say("not_kept", until_key=False)
        return False
    call.if_left = Outcome.CALLBACK
    whose = "own" if number == call.number else "other"
    call.record.moment(Moment.CALLBACK_PROMISED, number=whose)
    await call.say("callback_ok", "goodbye", until_key=False)
    return True


async def _safe_number(call: Call) -> str | None:
    """A number that we may call and of which the caller said that calling it is safe."""
    number = _whole(call.number)
    for _ in range(TRIES):
        if number is None:
            typed = await keyed(call, "callback_enter")
            if not typed:
                return None
            number = _whole(call.may_call(typed))
        if number is None:
            await call.say("callback_refused", until_key=False)
            continue
        key = await call.say("callback_number", *spelled(_as_dialled(number)), "callback_safe")
        key = key or await call.leg.key(call.times.key_timeout)
        if key != "2":
            return number if key == "1" else None
        number = None
    return None


def _whole(number: str | None) -> str | None:
    """The number, unless it is a short one: those are services and nobody's own."""
    return number if number is not None and number.startswith("+") else None


def _as_dialled(number: str) -> str:
    """As people in Kazakhstan say a number of theirs: with 8 in front."""
    return "8" + number[2:] if number.startswith("+7") else number.removeprefix("+")
