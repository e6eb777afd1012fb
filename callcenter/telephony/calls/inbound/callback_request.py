"""Callback request: a waiting caller keeps the place in the queue and is called back.

A caller may be in danger at home, so no number is dialled unless the caller said yes to that very
number. The request is stored in PostgreSQL before the caller hears that it is.
"""

import logging
import time

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.digit_collection import collect_digits
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.prompts.texts import as_dialled, spell_digits

log = logging.getLogger(__name__)

TRIES = 3  # numbers read back before the caller returns to the queue


async def request_callback(call: Call) -> bool:
    """Agree on a safe number and register the request; False when the caller stays queued.

    Nothing has changed until it is registered. Raises LegHungUp.
    """
    number = await _ask_safe_number(call)
    if number is None:
        call.record.add_event(CallEvent.CALLBACK_NOT_ASKED)
        await call.say("callback_not_asked", until_key=False)
        return False
    try:
        await call.record.register_callback(
            number=number,
            language=call.consultant_language,
            arrived=call.waits_since or time.time(),
            urgent=bool(call.urgencies),
        )
    except OperationFailed as exc:
        log.error("callback request failed: call %s: %s", call.leg.id, exc)
        await call.say("not_kept", until_key=False)
        return False
    call.if_left = Outcome.CALLBACK
    owner = "own" if number == call.number else "other"
    call.record.add_event(CallEvent.CALLBACK_PROMISED, number=owner)
    await call.say("callback_ok", "goodbye", until_key=False)
    return True


async def _ask_safe_number(call: Call) -> str | None:
    """Return a dialable number that the caller confirmed as safe, None without one."""
    number = _full_number(call.number)
    for _ in range(TRIES):
        if number is None:
            typed = await collect_digits(call, "callback_enter")
            if not typed:
                return None
            number = _full_number(call.may_call(typed))
        if number is None:
            await call.say("callback_refused", until_key=False)
            continue
        key = await call.say("callback_number", *spell_digits(as_dialled(number)), "callback_safe")
        key = key or await call.leg.key(call.times.key_timeout)
        if key != "2":
            return number if key == "1" else None
        number = None
    return None


def _full_number(number: str | None) -> str | None:
    """Return the number unless it is short: short numbers are services."""
    return number if number is not None and number.startswith("+") else None
