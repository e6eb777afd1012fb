"""Priority score: urgent callers, then callers by arrival.

No caller starves: not even behind urgent ones.
"""

#: Seconds of head start of an urgent caller. A caller who has waited longer than that is served
#: first, so that a stream of urgent ones starves nobody. The same in all controllers, or the order
#: would depend on which one took a call.
HEAD_START = 300.0

#: Prefixes of ids of places without a waiting caller: of callbacks, and of voicemail in the version
#: before, whose controllers run on during an upgrade.
CALLBACK, MESSAGE = "callback-", "message-"


def score(arrival: float, *, urgent: bool) -> float:
    """Return the priority score, the lowest first; `arrival` is in epoch seconds.

    It does not depend on now, so it needs no update while the call waits.
    """
    return arrival - HEAD_START if urgent else arrival
