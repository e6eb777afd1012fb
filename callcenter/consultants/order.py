"""Who is served first: urgent callers, then whoever came first, then messages that callers left.

No caller waits for ever: not even behind urgent ones.
"""

#: Seconds by which an urgent caller goes before others. Whoever has waited longer than that before
#: an urgent caller came is served before that caller, so that a stream of urgent ones starves
#: nobody. The same in all controllers, or the order would depend on which one took a call.
HEAD_START = 300.0

#: Seconds by which messages stand behind callers: more than anybody will ever wait.
BEHIND = 1e9

#: With these begin the ids of places at which nobody hears music: of callbacks and of messages.
CALLBACK, MESSAGE = "callback-", "message-"


def score(arrival: float, *, urgent: bool, behind: bool = False) -> float:
    """The place in the queue, the lowest first; `arrival` is in epoch seconds.

    What is not urgent and may stand `behind` all callers does so, in the order of arrival. It
    does not depend on now, so it is never to be computed anew while the caller waits.
    """
    if urgent:
        return arrival - HEAD_START
    return arrival + BEHIND if behind else arrival
