"""What is asked of a conversation, one after the other: by keys, the hold button, the pages."""

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace

from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.line.happenings import Asked
from callcenter.line.ports import Leg
from callcenter.line.talk_keys import TalkKeys

WAITING = 8  # orders; somebody who mashes the keys asks for nothing


class TalkOrders:
    """Those of one conversation that wait to be carried out."""

    def __init__(self, can: Collection[str], redirect_keys: str) -> None:
        """`can` are the orders that it knows; `redirect_keys` are the code for 1414."""
        self._can = can
        self._redirect_keys = redirect_keys
        self._asked: deque[Asked] = deque()
        self._is_asked = asyncio.Event()  # set while there are such
        self._ears = ExitStack()

    def knows(self, order: Order) -> bool:
        """Whether it is one of a conversation."""
        return order.what in self._can

    def put(self, order: Order) -> asyncio.Future[Answer]:
        """Have it carried out in its turn. The answer may be OrderRefused."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if len(self._asked) < WAITING:
            self._asked.append(Asked(order, answer))
            self._is_asked.set()
        else:
            answer.set_exception(OrderRefused("too much is asked at once"))
        return answer

    async def wait(self) -> None:
        """Return when something is asked, which stays so until `next` takes it."""
        await self._is_asked.wait()

    def next(self) -> Asked | None:
        """What is to be carried out next."""
        if not self._asked:
            return None
        asked = self._asked.popleft()
        if not self._asked:
            self._is_asked.clear()
        return asked

    def listen_to(self, leg: Leg) -> None:
        """The keys and the hold button of this consultant alone are orders from now on."""
        keys = TalkKeys(self._redirect_keys)

        def pressed(key: str) -> bool:
            if (order := keys.key(key)) and self.knows(order):
                keyed = replace(order, detail={**order.detail, "how": "key"})
                self.put(keyed).add_done_callback(_not_awaited)
            return True

        def held(is_held: bool) -> None:
            order = Order("hold" if is_held else "resume", "self", {"how": "telephone"})
            self.put(order).add_done_callback(_not_awaited)

        self.deafen()
        self._ears.enter_context(leg.watched(pressed))
        self._ears.enter_context(leg.holds(held))

    def deafen(self) -> None:
        """Nobody's keys are orders any more."""
        self._ears.close()


def _not_awaited(answer: asyncio.Future[Answer]) -> None:
    """Nobody waits for the answer to a key; that it was refused is heard."""
    if not answer.cancelled():
        answer.exception()
