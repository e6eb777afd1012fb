"""Numbers that a caller keys: digits up to the pound key or to a silence; a star begins anew."""

from callcenter.line.call import Call

LONGEST = 20  # keys of one number; no number of ours or anybody's is longer
END, AGAIN = "#", "*"


async def keyed(call: Call, *prompts: str) -> str:
    """What the caller keys after these prompts; keys cut them short. Raises LegGone."""
    key = await call.say(*prompts) or await call.leg.key(call.times.key_timeout)
    typed = ""
    while key is not None and key != END and len(typed) < LONGEST:
        typed = "" if key == AGAIN else typed + key
        key = await call.leg.key(call.times.key_timeout)
    return typed
