"""Orders on their way, through Redis, to the controller that has the call, and answers back.

An order is carried out once or not at all: nobody repeats it, and one that is late is dropped.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.consultants.script import LIMIT, DeskClosed
from callcenter.errands import Errands
from callcenter.errors import AskedWrongly, CallcenterError, WeFailed

log = logging.getLogger(__name__)


def first_id(call_id: str) -> str:
    """The id by which the register knows a call; what follows + is a further place of it."""
    return call_id.partition("+")[0]


ANSWER_LIMIT = 5.0  # seconds in which an order must have been answered
DONE_LIMIT = 4.5  # seconds in which it must have been carried out, for its fault to be told in time
NO_CALL = "-"  #: stands for the id of a call in an order that is to begin one
#: Stands for the controller in such an order, which is whichever takes it first: one that died
#: counts as alive for some seconds yet, and must not be asked.
ANYBODY = "anybody"
LISTEN = 1.0  # seconds for which one request for orders waits


class NoCall(OrderRefused):
    """This consultant is not with a caller now."""


@dataclass(frozen=True, slots=True)
class Held:
    """A consultant's call, in the hands of a controller."""

    id: str
    controller: str
    consultant: str


class Dispatch:
    """Gives orders, from any process."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def to_consultant(self, extension: str, order: Order) -> Answer:
        """What the call of this consultant answers. Raises what `held_by` and `to_call` raise."""
        return await self.to_call(await self.held_by(extension), order)

    async def held_by(self, extension: str) -> Held:
        """The call that this consultant is with now. Raises NoCall, DeskClosed."""
        try:
            async with asyncio.timeout(LIMIT):
                holder = await self._redis.hget("desk:holders", extension)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot find the call of {extension}: {exc or 'no answer'}") from exc
        if holder is None:
            raise NoCall
        call_id, controller = str(holder).split(" ")
        return Held(call_id, controller, extension)

    async def to_a_controller(self, order: Order) -> Answer:
        """What the first controller that takes it answers, which may begin a call.

        Raises as `to_consultant`, and WeFailed when no controller lives.
        """
        try:
            async with asyncio.timeout(LIMIT):
                seconds, _ = await self._redis.time()
                alive = await self._redis.zcount("desk:controllers", seconds, "+inf")
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot find a controller: {exc or 'no answer'}") from exc
        if not alive:
            raise WeFailed("no controller of calls is there: start `callcenter line`")
        return await self.to_call(Held(NO_CALL, ANYBODY, ""), order)

    async def to_call(self, call: Held, order: Order) -> Answer:
        """What this call answers.

        Raises OrderRefused (or another AskedWrongly, as a message) when the call is over or does
        not do it, DeskClosed when Redis does not answer, WeFailed when the call failed at it or
        was not heard of for five seconds.
        """
        order_id = uuid4().hex
        letter = json.dumps(
            {
                "id": order_id,
                "call": call.id,
                "what": order.what,
                "by": order.by,
                "detail": dict(order.detail),
                "consultant": call.consultant,
                "until": time.time() + ANSWER_LIMIT,
            }
        )
        mailbox = f"orders:{call.controller}"
        try:
            async with asyncio.timeout(ANSWER_LIMIT + LIMIT):
                async with self._redis.pipeline(transaction=True) as together:
                    together.rpush(mailbox, letter)
                    together.expire(mailbox, int(2 * ANSWER_LIMIT))
                    await together.execute()
                answered = await self._redis.blpop([f"orders:answer:{order_id}"], ANSWER_LIMIT)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot ask the call: {exc or 'no answer'}") from exc
        if answered is None:
            raise WeFailed("the call did not answer: see whether it was done before you ask again")
        return _read_answer(str(answered[1]))


def _read_answer(told: str) -> Answer:
    answer = json.loads(told)
    if "refused" in answer:
        raise OrderRefused(answer["refused"])
    if "failed" in answer:
        raise WeFailed(answer["failed"])
    return {str(key): str(value) for key, value in answer["done"].items()}


class Mailbox:
    """Takes the orders for the calls of one controller. `run` must be running."""

    def __init__(
        self,
        redis: Redis,
        controller: str,
        give: Callable[[str, Order], Awaitable[Answer]],
        takes_new: Callable[[], bool] = lambda: False,
    ) -> None:
        """`give` is told the id of a call and the order, and answers as `Orders.give`.

        `takes_new`: whether orders to begin a call are taken now, with the id NO_CALL.
        """
        self._redis = redis
        self._mailbox = f"orders:{controller}"
        self._give = give
        self._takes_new = takes_new
        self._busy = Errands()

    async def run(self) -> None:
        """Carry out orders until cancelled; outlives Redis being away."""
        try:
            while True:
                letter = await self._next()
                if letter is not None:
                    self._busy.begin(self._carry_out(letter))
        finally:
            for task in self._busy:
                task.cancel()

    async def _next(self) -> str | None:
        mailboxes = [self._mailbox, *([f"orders:{ANYBODY}"] if self._takes_new() else ())]
        try:
            async with asyncio.timeout(LISTEN + ANSWER_LIMIT):
                came = await self._redis.blpop(mailboxes, LISTEN)
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("orders cannot be heard: %s", exc or "no answer")
            await asyncio.sleep(LISTEN)
            return None
        return str(came[1]) if came else None

    async def _carry_out(self, letter: str) -> None:
        try:
            told = json.loads(letter)
            order = Order(told["what"], told["by"], told["detail"], told["consultant"])
            if told["until"] < time.time():
                log.warning("order %s came too late and is dropped", order.what)
                return
            answer = await self._answer(told["call"], order)
            answers = f"orders:answer:{told['id']}"
            async with asyncio.timeout(LIMIT), self._redis.pipeline(transaction=True) as together:
                together.rpush(answers, json.dumps(answer))
                together.expire(answers, int(2 * ANSWER_LIMIT))
                await together.execute()
        except (ValueError, KeyError, TypeError) as exc:
            log.error("an order that cannot be read is dropped: %r", exc)
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("an order's answer is lost: %s", exc or "no answer")

    async def _answer(self, call_id: str, order: Order) -> dict[str, object]:
        try:
            async with asyncio.timeout(DONE_LIMIT):
                return {"done": dict(await self._give(call_id, order))}
        except AskedWrongly as exc:
            return {"refused": str(exc)}
        except (CallcenterError, TimeoutError) as exc:
            log.error("order %s failed: %s", order.what, exc or "took too long")
            return {"failed": str(exc) or "it took too long: see what the call is doing"}
        except Exception:
            log.exception("order %s: our part failed", order.what)
            return {"failed": "our part failed at it: see what the call is doing"}
