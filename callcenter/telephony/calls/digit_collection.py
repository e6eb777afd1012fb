"""DTMF digit collection: digits up to the pound key or a timeout; a star starts over."""

from callcenter.telephony.calls.call import Call

LENGTH_LIMIT = 20  # keys; no number is longer
END_KEY, CLEAR_KEY = "#", "*"


async def collect_digits(call: Call, *prompts: str) -> str:
    """Play prompts, which a key interrupts, and collect digits. Raises LegHungUp."""
    key = await call.say(*prompts) or await call.leg.key(call.times.key_timeout)
    typed = ""
    while key is not None and key != END_KEY and len(typed) < LENGTH_LIMIT:
        typed = "" if key == CLEAR_KEY else typed + key
        key = await call.leg.key(call.times.key_timeout)
    return typed
