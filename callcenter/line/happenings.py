"""What a conversation is told: an order, somebody who left or came; or how it was found."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.line.guests import Guest, Talker
from callcenter.line.ports import Room


@dataclass(frozen=True, eq=False)
class Asked:
    """An order that waits to be carried out."""

    order: Order
    answer: asyncio.Future[Answer]

    def refuse(self, why: str) -> None:
        """Say that it was not done; nothing, when that was answered already."""
        if not self.answer.done():
            self.answer.set_exception(OrderRefused(why))

    def done(self, state: Answer) -> None:
        """Say that it was done, and how things stand now."""
        if not self.answer.done():
            self.answer.set_result(state)


@dataclass(frozen=True, eq=False)
class Left:
    """Somebody hung up, or died."""

    who: Guest


@dataclass(frozen=True, eq=False)
class Came:
    """Whoever was called has answered."""

    guest: Guest


@dataclass(frozen=True, eq=False)
class NotCome:
    """Whoever was called has not answered, for this reason."""

    why: str


@dataclass(frozen=True, eq=False)
class Found:
    """A conversation under way, whose controller is no more; `recording` is the one that runs."""

    room: AbstractAsyncContextManager[Room]
    talker: Talker | None
    guest: Guest | None
    is_aside: bool
    is_muted: bool
    recording: UUID | None
    is_proved: bool  #: that it runs
