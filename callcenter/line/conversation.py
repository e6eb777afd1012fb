"""A caller, the consultant and perhaps a guest: who hears whom, what is asked, and who leaves.

What is done about it is told in `talk.py`. A caller who is aside hears music and nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.errors import WeFailed
from callcenter.line.call import Call, to_the_end
from callcenter.line.guests import Guest, Talker, called_again
from callcenter.line.happenings import Asked, Came, Found, Left, NotCome
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, LegGone, LegLost, NotAnswered, Room
from callcenter.line.talk_orders import TalkOrders
from callcenter.line.tape import Tape

OVER = "the conversation is over"
AGAIN = 2.0  # seconds after which what could not be done is tried once more


class Conversation:
    """Made by `conversation`. All that changes who hears whom is done by one task."""

    def __init__(self, call: Call, room: Room, talker: Talker | None, can: Collection[str]) -> None:
        """`can` are the orders that it knows."""
        self.call = call
        self.talker: Talker | None = talker  #: who has the call; None once that one has left
        self.guest: Guest | None = None
        self.taker: Talker | None = None  #: a supervisor who takes the call over
        self.is_aside = False  #: the caller is
        self.is_muted = False  #: the talker is
        self.hands_over = False  #: whoever is being called gets the caller at once
        self.tape = Tape(call)
        self._orders = TalkOrders(can, call.times.redirect_keys)
        self._room = room
        self._music = AsyncExitStack()
        self._coming: asyncio.Task[Guest] | None = None
        self._is_consultant = False
        self._recording_again: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._is_mended = True

    # What is asked, and what happens

    async def next(self) -> Asked | Left | Came | NotCome:
        """What is asked next, who left, or what became of a call to somebody.

        Cancelling loses nothing: what is asked stays until this returns.
        """
        asked = asyncio.ensure_future(self._orders.wait())
        parties = [each for each in (self.talker, self.guest) if each is not None]
        leaving = {asyncio.ensure_future(_gone(each.leg)): each for each in parties}
        coming = [] if self._coming is None else [self._coming]
        try:
            await asyncio.wait((asked, *leaving, *coming), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (asked, *leaving):
                each.cancel()
            await asyncio.gather(asked, *leaving, return_exceptions=True)
        if (order := self._orders.next()) is not None:
            return order
        for left, who in leaving.items():
            if not left.cancelled():
                left.result()
                return Left(who)
        return self._arrival(coming[0])

    async def take(self, order: Order) -> Answer | None:
        """Have an order of the talker's carried out; None when it is not one of a conversation.

        Raises OrderRefused.
        """
        if not self._orders.knows(order):
            return None
        if self.talker is None or order.consultant != self.talker.name:
            raise OrderRefused("another consultant has the call")
        return await self._orders.put(order)

    # Who hears whom

    async def set_aside(self, **detail: str) -> None:
        """The caller hears music; the others go on without the caller. Raises LegGone."""
        if not self.is_aside:
            with self._changed_to(True):
                await self._room.leave(self.call.leg)
                await self._music.enter_async_context(self.call.leg.music())
            self.call.record.moment(Moment.HELD, **detail)

    async def bring_back(self, **detail: str) -> None:
        """The caller is with the others again. Raises LegGone."""
        if self.is_aside:
            with self._changed_to(False):
                await self._music.aclose()
                await self._room.enter(self.call.leg)
            self.call.record.moment(Moment.RESUMED, **detail)

    @contextmanager
    def _changed_to(self, is_aside: bool) -> Iterator[None]:
        """What fails within was not done, as far as anybody is told: `mend` makes it true."""
        self.is_aside = is_aside
        try:
            yield
        except WeFailed:
            self.is_aside = not is_aside
            raise

    def mend(self) -> None:
        """Something failed halfway: have the caller be where we say, as soon as that can be."""
        if self._mending is None or self._mending.done():
            self._is_mended = False
            asking = self._ask_again("as_told", lambda: not self._is_mended)
            self._mending = asyncio.create_task(asking)

    async def be_as_told(self) -> None:
        """The caller is where we say. Raises LegGone."""
        await self._music.aclose()
        if self.is_aside:
            await self._room.leave(self.call.leg)
            await self._music.enter_async_context(self.call.leg.music())
        else:
            await self._room.ensure(self.call.leg)
        self._is_mended = True

    async def mute(self, muted: bool, **detail: str) -> None:
        """Whether nobody hears the talker."""
        if self.talker is not None:
            with suppress(LegGone):  # we shall hear of that
                await self.talker.leg.mute(muted)
        self.is_muted = muted
        self.call.record.moment(Moment.MUTED if muted else Moment.UNMUTED, **detail)

    async def tell_talker(self, prompt: str) -> None:
        """Say something to the talker alone."""
        if self.talker is not None:
            sound = self.call.sounds.sound(self.call.wanted_language, prompt)
            await self.talker.leg.hint([sound])

    # Guests

    @property
    def awaits_guest(self) -> bool:
        """Whether somebody is being called."""
        return self._coming is not None

    @property
    def awaits_consultant(self) -> bool:
        """Whether it is a consultant who is being called."""
        return self.awaits_guest and self._is_consultant

    def call_guest(
        self, calling: Coroutine[Any, Any, Guest], *, is_consultant: bool, hands_over: bool
    ) -> None:
        """Begin to call somebody; `next` tells what became of it."""
        self._is_consultant, self.hands_over = is_consultant, hands_over
        self._coming = asyncio.ensure_future(calling)

    def call_talker_again(self) -> None:
        """Ring the talker, whose telephone lost the conversation; `next` tells what became."""
        if self.talker is not None:
            talker, self.talker = self.talker, None
            self._orders.deafen()
            calling = called_again(self.call, talker)
            self.call_guest(calling, is_consultant=True, hands_over=True)

    def _arrival(self, coming: asyncio.Task[Guest]) -> Came | NotCome:
        self._coming = None
        try:
            self.guest = coming.result()
            return Came(self.guest)
        except NotAnswered as exc:
            return NotCome(str(exc))
        except WeFailed:  # as when the desk is closed: the conversation needs no desk
            return NotCome("failed")

    async def admit(self, guest: Guest) -> bool:
        """The guest hears the talker, and the caller who is not aside; False: the guest left."""
        with suppress(LegGone):
            await self._room.enter(guest.leg)
            return True
        return False

    async def dismiss_guest(self) -> None:
        """Hang up on the guest, or call nobody any more."""
        if self._coming is not None:
            coming, self._coming = self._coming, None
            await to_the_end(_call_off(coming))
        if self.guest is not None:
            guest, self.guest = self.guest, None
            await guest.side.aclose()

    # Who has the call

    async def taken_over(self, taker: Talker) -> None:
        """Have a supervisor, whose leg is up, get the call. Raises OrderRefused."""
        self.taker = taker
        await self._orders.put(Order("take_over", "supervisor"))

    async def release_talker(self) -> None:
        """Hang up on the talker, who goes to wrap-up."""
        if self.talker is not None:
            talker, self.talker = self.talker, None
            self._orders.deafen()
            await talker.side.aclose()

    async def give_to(self, guest: Talker) -> None:
        """A guest who was admitted has the call from now on, and a recording of their own."""
        former, self.talker, self.guest = self.talker, guest, None
        self.is_muted = False
        self._orders.listen_to(guest.leg)
        self.call.record.consultant(guest.consultant.id)
        before, self.tape = self.tape, Tape(self.call)
        try:
            # One after the other: nothing of the next consultant is in the recording of the first.
            await to_the_end(before.stop())
            await self._recorded(guest)
            await self.bring_back()
        finally:
            if former is not None:
                await former.side.aclose()

    async def _recorded(self, talker: Talker) -> None:
        if not await self.tape.start(talker.consultant):
            await asyncio.gather(  # neither is told late because the other cannot be told
                self.tell_talker("not_recorded"),
                self.call.queue.not_recorded(self.call.leg.id, self.call.wanted_language),
            )
            if self._recording_again is not None:
                self._recording_again.cancel()
            asking = self._ask_again("record", lambda: self.tape.is_missing)
            self._recording_again = asyncio.create_task(asking)

    async def _ask_again(self, what: str, is_needed: Callable[[], bool]) -> None:
        """In turn with all else that is asked, until it is done, or needed no more."""
        while is_needed():
            await asyncio.sleep(AGAIN)
            with suppress(OrderRefused):  # it fails once more, or too much is asked at once
                await self._orders.put(Order(what, "line"))

    async def record_again(self) -> None:
        """Begin the recording that is missing; the talker and the supervisors are told."""
        if await self.tape.start_again():
            await self.tell_talker("recorded_again")
            await self.call.queue.recorded_again(self.call.leg.id, self.call.wanted_language)

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
        talker = self.talker
        if talker is None:
            raise NotAnswered("left")
        try:
            await self._room.enter(self.call.leg, talker.leg)
        except LegGone:  # who of the two?
            await self._room.enter(self.call.leg)
            if not await self.admit(talker):
                raise NotAnswered("left") from None
        self.call.record.consultant(talker.consultant.id)
        self.call.if_left = Outcome.TALKED
        self.call.record.moment(Moment.CONNECTED, consultant=talker.name)
        self._orders.listen_to(talker.leg)
        await self._recorded(talker)

    async def go_on(self, found: Found) -> None:
        """All is as it was, and nobody hears anything of it. Raises LegGone."""
        self.guest, self.is_muted = found.guest, found.is_muted
        self.call.if_left = Outcome.TALKED
        if found.is_aside:
            self.is_aside = True
            await self._music.enter_async_context(self.call.leg.music())
        if found.recording is not None:
            self.tape = Tape(self.call, found.recording)
        if self.talker is None:
            return
        self._orders.listen_to(self.talker.leg)
        if not found.is_proved:
            await to_the_end(self.tape.stop())
            self.tape = Tape(self.call)
            await self._recorded(self.talker)

    async def end(self) -> None:
        """Stop recording and music; who asked for something yet is told that it is over."""
        self._orders.deafen()
        for again in (self._recording_again, self._mending):
            if again is not None:
                again.cancel()
        while (order := self._orders.next()) is not None:
            order.refuse(OVER)
        await self.tape.stop()
        await self._music.aclose()

    async def part(self) -> None:
        """Nobody but the caller is left."""
        await self.dismiss_guest()
        await self.release_talker()

    def state(self) -> Answer:
        """How things stand, for whoever asked."""
        return {
            "caller": "aside" if self.is_aside else "here",
            "muted": "yes" if self.is_muted else "no",
            "guest": "here" if self.guest else "called" if self.awaits_guest else "none",
            "urgent": self.call.urgencies[-1].value if self.call.urgencies else "",
            "keys": " ".join(self.call.keys_seen),
        }


@asynccontextmanager
async def conversation(
    call: Call, with_whom: Talker | Found, can: Collection[str]
) -> AsyncIterator[Conversation]:
    """The caller and a consultant who has answered hear each other; the consultant is recorded.

    Or they do so already (`Found`). At the end everybody but the caller has hung up. Raises
    NotAnswered when the consultant was gone before the two heard each other, LegGone when the
    caller was.
    """
    found, talker = (
        (with_whom, with_whom.talker) if isinstance(with_whom, Found) else (None, with_whom)
    )
    entered = call.switch.room(call.leg) if found is None else found.room
    async with AsyncExitStack() as parties, entered as room:
        talk = Conversation(call, room, talker, can)
        parties.push_async_callback(talk.part)
        try:
            await (talk.begin() if found is None else talk.go_on(found))
            with call.orders.taken_by(talk.take):
                yield talk
        finally:
            await to_the_end(talk.end())


async def _call_off(coming: asyncio.Task[Guest]) -> None:
    coming.cancel()
    await asyncio.wait((coming,))
    if not coming.cancelled() and coming.exception() is None:  # answered at this moment
        await coming.result().side.aclose()


async def _gone(leg: Leg) -> None:
    with suppress(LegLost):  # the caller's leg tells of that too
        await leg.gone()
