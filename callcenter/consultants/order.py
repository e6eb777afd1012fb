"""Who is served first: urgent callers, then whoever came first; and nobody waits for ever."""

#: Seconds by which an urgent caller goes before others. Whoever has waited longer than that before
#: an urgent caller came is served before that caller, so that a stream of urgent ones starves
#: nobody. The same in all controllers, or the order would depend on which one took a call.
HEAD_START = 300.0

#: With this begin the ids of places of callbacks, which nobody hears music at.
CALLBACK = "callback-"


def score(arrival: float, *, urgent: bool) -> float:
    """The place in the queue, the lowest first; `arrival` is in epoch seconds.

    It does not depend on now, so it is never to be computed anew while the caller waits.
    """
    return arrival - HEAD_START if urgent else arrival
