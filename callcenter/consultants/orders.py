"""What consultants and supervisors ask of a call that is under way: transfer it, listen to it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from callcenter.errors import AskedWrongly

#: A supervisor's order; detail: `mode`, `extension` and `id` of the supervisor, and `hears`: the
#: extensions of those whom the supervisor may hear, where that is not everybody.
SUPERVISE = "supervise"

Answer = Mapping[str, str]  #: what is said to the one who asked


class Mode(StrEnum):
    """What a supervisor does with a conversation. Names are kept on appeals: never rename one."""

    LISTEN = "listen"  #: hears both, is heard by nobody
    WHISPER = "whisper"  #: hears both, is heard by the consultant and by no recording
    JOIN = "join"  #: speaks with both
    TAKE_OVER = "take_over"  #: has the caller in the consultant's place
    LEAVE = "leave"  #: is with it no more


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be done with a call. `by` is `self` (its consultant) or `user:NAME`.

    `consultant` is the extension of the consultant whose call it is.
    """

    what: str
    by: str
    detail: Mapping[str, str] = field(default_factory=dict)
    consultant: str = ""


class OrderRefused(AskedWrongly):
    """The call is not where this can be done: look at what it is doing now."""


Take = Callable[[Order], Awaitable[Answer | None]]


class Orders:
    """The orders for one call, carried out one after another by whatever the call is doing."""

    def __init__(self) -> None:
        self._takers: list[Take] = []
        self._one_at_a_time = asyncio.Lock()

    @contextmanager
    def taken_by(self, take: Take) -> Iterator[None]:
        """Within the block each order is given to `take`, and before it to those of inner blocks.

        `take` returns the answer, raises OrderRefused, or returns None for an order that is not
        its own. It must not take long: what takes long is begun, and answered.
        """
        self._takers.append(take)
        try:
            yield
        finally:
            self._takers.remove(take)

    async def give(self, order: Order) -> Answer:
        """What the call answers. Raises OrderRefused when it does not do that, or not now."""
        async with self._one_at_a_time:
            for take in reversed(self._takers):
                answer = await take(order)
                if answer is not None:
                    return answer
        raise OrderRefused
