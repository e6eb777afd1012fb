"""Names that we give what we make in the switch: from them anybody knows whose it is.

What a caller's channel is called is the switch's own choice.
"""

import uuid

CALLED, TALK, OVERHEARD = "called-", "talk-", "overheard-"  #: what ids that we choose begin with
_CALLED_ID = len(CALLED) + len(str(uuid.UUID(int=0))) + 1  # what follows is the life's name


def life_of(called: str) -> str:
    """The life of a controller that called this channel, from its id; empty for a caller's."""
    return called[_CALLED_ID:] if called.startswith(CALLED) else ""


def caller_of(bridge: str) -> str:
    """The id of the caller's channel in a conversation, from the id of its bridge."""
    return bridge.removeprefix(TALK).rpartition("-")[0]
