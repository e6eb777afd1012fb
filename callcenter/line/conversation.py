"""A caller and the consultant: who hears whom, what is asked of the two, and who leaves.

What is done about it is told in `talk.py`. A caller who is aside hears music and nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.line.call import Call, to_the_end
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Consultant, Leg, LegGone, LegLost, NotAnswered, Room
from callcenter.line.talk_keys import TalkKeys
from callcenter.line.tape import Tape

OVER = "the conversation is over"
WAITING_ORDERS = 8  # somebody who mashes the keys asks for nothing


@dataclass(frozen=True, eq=False)
class Talker:
    """A consultant with the caller. Closing `side` hangs up and ends the lease."""

    consultant: Consultant
    leg: Leg
    side: AsyncExitStack

    @property
    def name(self) -> str:
        return self.consultant.extension


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

    who: Talker


class Conversation:
    """Made by `conversation`. All that changes who hears whom is done by one task."""

    def __init__(self, call: Call, room: Room, talker: Talker, can: Collection[str]) -> None:
        """`can` are the orders that it knows."""
        self.call = call
        self.talker = talker
        self.is_aside = False  #: the caller is
        self.is_muted = False  #: the talker is
        self.tape = Tape(call)
        self._can = can
        self._room = room
        self._music = AsyncExitStack()
        self._asked: asyncio.Queue[Asked] = asyncio.Queue(WAITING_ORDERS)
        self._ears = ExitStack()

    # What is asked, and what happens

    async def next(self) -> Asked | Left:
        """What is asked next, or who left. Cancelling loses nothing."""
        asked = asyncio.ensure_future(self._asked.get())
        leaving = {asyncio.ensure_future(_gone(each.leg)): each for each in self._parties()}
        try:
            await asyncio.wait((asked, *leaving), return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            left, who = next(each for each in leaving.items() if each[0].done())
            left.result()
            return Left(who)
        finally:
            for each in (asked, *leaving):
                each.cancel()
            await asyncio.gather(asked, *leaving, return_exceptions=True)

    async def take(self, order: Order) -> Answer | None:
        """Have an order of the talker's carried out; None when it is not one of a conversation.

        Raises OrderRefused.
        """
        if order.what not in self._can:
            return None
        if order.consultant != self.talker.name:
            raise OrderRefused("another consultant is with the caller now")
        return await self._ask(order)

    def _ask(self, order: Order) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._asked.put_nowait(Asked(order, answer))
        except asyncio.QueueFull:
            answer.set_exception(OrderRefused("too much is asked at once"))
        return answer

    def _listen_to(self, talker: Talker) -> None:
        """The keys and the hold button of this consultant are orders from now on."""
        keys = TalkKeys(self.call.times.redirect_keys)

        def pressed(key: str) -> bool:
            if (order := keys.key(key)) and order.what in self._can:
                keyed = replace(order, detail={**order.detail, "how": "key"})
                self._ask(keyed).add_done_callback(_not_awaited)
            return True

        def held(is_held: bool) -> None:
            order = Order("hold" if is_held else "resume", "self", {"how": "telephone"})
            self._ask(order).add_done_callback(_not_awaited)

        self._ears.close()
        self._ears.enter_context(talker.leg.watched(pressed))
        self._ears.enter_context(talker.leg.holds(held))

    def _parties(self) -> list[Talker]:
        return [self.talker]

    # Who hears whom

    async def set_aside(self, **detail: str) -> None:
        """The caller hears music; the others go on without the caller. Raises LegGone."""
        if not self.is_aside:
            self.is_aside = True
            await self._room.leave(self.call.leg)
            await self._music.enter_async_context(self.call.leg.music())
            self.call.record.moment(Moment.HELD, **detail)

    async def bring_back(self, **detail: str) -> None:
        """The caller is with the others again. Raises LegGone."""
        if self.is_aside:
            self.is_aside = False
            await self._music.aclose()
            await self._room.enter(self.call.leg)
            self.call.record.moment(Moment.RESUMED, **detail)

    async def mute(self, muted: bool, **detail: str) -> None:
        """Whether nobody hears the talker."""
        with suppress(LegGone):  # we shall hear of that
            await self.talker.leg.mute(muted)
        self.is_muted = muted
        self.call.record.moment(Moment.MUTED if muted else Moment.UNMUTED, **detail)

    async def tell_talker(self, prompt: str) -> None:
        """Say something to the talker alone."""
        sound = self.call.sounds.sound(self.call.wanted_language, prompt)
        await self.talker.leg.hint([sound])

    @asynccontextmanager
    async def joined(self, leg: Leg) -> AsyncIterator[None]:
        """Within the block this leg hears everybody, and everybody hears it. Raises LegGone."""
        await self._room.enter(leg)
        try:
            yield
        finally:
            await asyncio.shield(self._room.leave(leg))

    # Beginning and end

    async def begin(self) -> None:
        """Caller and talker hear each other. Raises LegGone, NotAnswered when the talker has."""
        await self._room.enter(self.call.leg)
        try:
            await self._room.enter(self.talker.leg)
        except LegGone:
            raise NotAnswered("left") from None
        consultant = self.talker.consultant
        self.call.record.consultant(consultant.id)
        self.call.if_left = Outcome.TALKED
        self.call.record.moment(Moment.CONNECTED, consultant=consultant.extension)
        self._listen_to(self.talker)
        await self.tape.start(consultant)

    async def end(self) -> None:
        """Give back all that was taken; who asked for something yet is told that it is over."""
        self._ears.close()
        while not self._asked.empty():
            self._asked.get_nowait().refuse(OVER)
        await self.tape.stop()
        await self._music.aclose()

    def state(self) -> Answer:
        """How things stand, for whoever asked."""
        return {
            "caller": "aside" if self.is_aside else "here",
            "muted": "yes" if self.is_muted else "no",
        }


@asynccontextmanager
async def conversation(
    call: Call, talker: Talker, can: Collection[str]
) -> AsyncIterator[Conversation]:
    """The caller and a consultant who has answered hear each other; the consultant is recorded.

    Raises NotAnswered when the consultant was gone before that, LegGone when the caller was.
    """
    async with call.switch.room(call.leg) as room:
        talk = Conversation(call, room, talker, can)
        try:
            await talk.begin()
            with call.orders.taken_by(talk.take):
                yield talk
        finally:
            await to_the_end(talk.end())


async def _gone(leg: Leg) -> None:
    with suppress(LegLost):  # the caller's leg tells of that too
        await leg.gone()


def _not_awaited(answer: asyncio.Future[Answer]) -> None:
    """Nobody waits for the answer to a key; that it was refused is heard."""
    if not answer.cancelled():
        answer.exception()
