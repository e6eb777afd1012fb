"""Call commands of consultants and supervisors, such as transfer or supervise."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from callcenter.platform.core.errors import InvalidRequest

#: Command of a supervisor; detail: `mode`, `extension` and `id` of the supervisor, and `hears`: the
#: extensions that the supervisor may hear, if not all.
SUPERVISE = "supervise"

Answer = Mapping[str, str]  #: the result of a command


class SupervisionMode(StrEnum):
    """Mode of supervision. Values are stored on appeals: never rename one."""

    LISTEN = "listen"  #: hears both
    WHISPER = "whisper"  #: hears both, only the consultant hears
    JOIN = "join"  #: speaks with both
    TAKE_OVER = "take_over"  #: replaces the consultant
    LEAVE = "leave"  #: ends supervision


@dataclass(frozen=True, slots=True)
class CallCommand:
    """Command for a call. `by` is `self` (its consultant) or `user:NAME`.

    `consultant` is the extension of the consultant of the call. `order` is the id of the order that
    it came in, which is given once.
    """

    what: str
    by: str
    detail: Mapping[str, str] = field(default_factory=dict)
    consultant: str = ""
    order: str = field(default="", compare=False)


class CommandRefused(InvalidRequest):
    """The call is not where this can be done: look at what it is doing now."""


class OrderReplayed(CommandRefused):
    """This order was given before, to this controller or another."""


Take = Callable[[CallCommand], Awaitable[Answer | None]]


class CommandRouter:
    """Routes the commands of one call to its current handlers, one at a time."""

    def __init__(self) -> None:
        self._handlers: list[Take] = []
        self._lock = asyncio.Lock()

    @contextmanager
    def handled_by(self, take: Take) -> Iterator[None]:
        """Pass each command to `take` within the block, after the handlers of inner blocks.

        `take` returns the answer, raises CommandRefused, or returns None for a command that is not
        its own. It must be fast: what takes long is started and answered.
        """
        self._handlers.append(take)
        try:
            yield
        finally:
            self._handlers.remove(take)

    async def dispatch(self, command: CallCommand) -> Answer:
        """Execute a command; returns the answer. Raises CommandRefused."""
        async with self._lock:
            for take in reversed(self._handlers):
                answer = await take(command)
                if answer is not None:
                    return answer
        raise CommandRefused
