"""Request/reply over Redis: call commands to the controller of the call, and answers back.

A command is executed at most once: it is never repeated, and dropped when late. It has a proof of
who may give it, and its answer one of who may carry it out: whoever can write to Redis may neither
(`rules.order_proof`).
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import (
    REDIS_TIMEOUT,
    DistributorUnavailable,
    count_controllers,
)
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import CallcenterError, InvalidRequest, OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.telephony.acd.rules.call_commands import (
    Answer,
    CallCommand,
    CommandRefused,
    OrderReplayed,
)
from callcenter.telephony.acd.rules.order_proof import OrderKeys, OrderRefusal

log = logging.getLogger(__name__)


def first_id(call_id: str) -> str:
    """Return the id of the call of a queue place: what follows + numbers further places."""
    return call_id.partition("+")[0]


ANSWER_TIMEOUT = 5.0  # seconds until the answer
EXECUTION_TIMEOUT = 4.5  # seconds, less, so that a failure is answered in time
NO_CALL = "-"  #: call id in a command that starts a call
#: Controller in such a command: the first that takes it, for a dead one counts as alive for some
#: seconds.
ANY_CONTROLLER = "anybody"
_FOR_ANY = f"orders:{ANY_CONTROLLER}"
POLL_TIMEOUT = 5.0  # seconds that one poll for commands waits
RECHECK_INTERVAL = 1.0  # seconds between two looks whether new calls are accepted again
#: Secret of orders: the pages and controllers sign what is done with calls, which controllers
#: carry out.
CALL_ORDERS = "orders_calls"
#: What a sender of an old version reads, which believes an answer without a proof.
_NOT_PROVEN = "this order has no proof: restart what sent it, it is of an old version"
#: What one of this version reads after such an answer.
_UNPROVEN_ANSWER = (
    "the call gave no answer with a right proof (have all processes this version and one secret?)"
)

Refused = Callable[[OrderRefusal, Mapping[str, str]], Awaitable[None]]


def read_order_keys(settings: Settings) -> OrderKeys:
    """The keys of CALL_ORDERS. Raises as `read_secret` does."""
    return OrderKeys(CALL_ORDERS, read_secret(settings.secrets_folder, CALL_ORDERS).split())


class NoActiveCall(CommandRefused):
    """This consultant is in no call now."""


@dataclass(frozen=True, slots=True)
class ActiveCallRef:
    """Reference to the active call of a consultant and its controller."""

    id: str
    controller: str
    consultant: str


class CommandClient:
    """Sends call commands, from any process that has the keys."""

    def __init__(self, redis: Redis, keys: OrderKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def send_to_consultant(self, extension: str, command: CallCommand) -> Answer:
        """Send to the active call of a consultant; raises as both steps.

        See `find_active_call` and `send_to_call`.
        """
        return await self.send_to_call(await self.find_active_call(extension), command)

    async def find_active_call(self, extension: str) -> ActiveCallRef:
        """Find the call of this consultant. Raises NoActiveCall, DistributorUnavailable."""
        try:
            async with answer_within(REDIS_TIMEOUT):
                holder = await self._redis.hget("desk:holders", extension)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(
                f"cannot find the call of {extension}: {exc or 'no answer'}"
            ) from exc
        if holder is None:
            raise NoActiveCall
        call_id, controller = str(holder).split(" ")
        return ActiveCallRef(call_id, controller, extension)

    async def send_to_any_controller(self, command: CallCommand) -> Answer:
        """Send to the first controller that takes it, to start a call; returns the answer.

        Raises as `send_to_consultant`, and OperationFailed when no controller is alive.
        """
        try:
            alive = await count_controllers(self._redis)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(f"cannot find a controller: {exc or 'no answer'}") from exc
        if not alive:
            raise OperationFailed("no controller is running: start `callcenter controller`")
        return await self.send_to_call(ActiveCallRef(NO_CALL, ANY_CONTROLLER, ""), command)

    async def send_to_call(self, call: ActiveCallRef, command: CallCommand) -> Answer:
        """Send to a call; returns its answer.

        Raises CommandRefused (or another InvalidRequest, as a message) when the call is over or
        refuses it, DistributorUnavailable when Redis does not answer, OperationFailed when the
        command failed or was not answered, with a proof, in five seconds."""
        order_id = uuid4().hex
        mailbox = f"orders:{call.controller}"
        order = {
            "id": order_id,
            "to": mailbox,
            "call": call.id,
            "what": command.what,
            "by": command.by,
            "detail": dict(command.detail),
            "consultant": call.consultant,
            "until": time.time() + ANSWER_TIMEOUT,
        }
        message = json.dumps(self._keys.sign(order))
        try:
            async with answer_within(ANSWER_TIMEOUT + REDIS_TIMEOUT):
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.rpush(mailbox, message)
                    pipe.expire(mailbox, int(2 * ANSWER_TIMEOUT))
                    await pipe.execute()
                return _read_answer(await self._proven_answer(order_id))
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(f"cannot ask the call: {exc or 'no answer'}") from exc

    async def _proven_answer(self, order_id: str) -> Mapping[str, Any]:
        """The answer that has a proof, whatever else is put in its place before it.

        Raises OperationFailed when there is none in five seconds, RedisError.
        """
        ends_at = time.monotonic() + ANSWER_TIMEOUT
        fault = "the call did not answer"
        while (left := ends_at - time.monotonic()) > 0:
            reply = await self._redis.blpop([f"orders:answer:{order_id}"], left)
            if reply is None:
                break
            answer, why = self._verify(order_id, str(reply[1]))
            if why is None:
                return answer
            if fault != _UNPROVEN_ANSWER:  # a flood has one line
                log.error("answer refused: %s: order %s", why.value, order_id)
            fault = _UNPROVEN_ANSWER
        raise OperationFailed(f"{fault}: check what it is doing before you try again")

    def _verify(self, order_id: str, payload: str) -> tuple[Mapping[str, Any], OrderRefusal | None]:
        try:
            answer = json.loads(payload)
            return answer, self._keys.check_answer(order_id, answer)
        except (ValueError, AttributeError):  # no JSON, or no object of it
            return {}, OrderRefusal.FORGED


def _read_answer(answer: Mapping[str, Any]) -> Answer:
    if "refused" in answer:
        raise CommandRefused(answer["refused"])
    if "failed" in answer:
        raise OperationFailed(answer["failed"])
    return {str(key): str(value) for key, value in answer["done"].items()}


class CommandServer:
    """Executes the commands for the calls of one controller. `run` must be running."""

    def __init__(
        self,
        redis: Redis,
        controller: str,
        keys: OrderKeys,
        handle: Callable[[str, CallCommand], Awaitable[Answer]],
        on_refused: Refused,
        accepts_new: Callable[[], bool] | None = None,
    ) -> None:
        """`handle` gets the id of a call and the command, and answers as `CommandRouter.dispatch`.

        It raises OrderReplayed for one that another controller carried out. `on_refused` gets why
        an order was not carried out, and what is proven of it.
        `accepts_new`: whether commands that start a call, with the id NO_CALL, are taken now; None:
        never from the mailbox for any controller.
        """
        self._redis = redis
        self._mailbox = f"orders:{controller}"
        self._keys = keys
        self._handle = handle
        self._on_refused = on_refused
        self._accepts_new = accepts_new
        self._expiries: dict[str, float] = {}  #: of orders that were taken, by id
        self._tasks = BackgroundTasks()

    async def run(self) -> None:
        """Execute commands until cancelled; survives outages of Redis."""
        try:
            while True:
                received = await self._next()
                if received is not None:
                    self._tasks.spawn(self._execute(*received))
        finally:
            for task in self._tasks:
                task.cancel()

    async def _next(self) -> tuple[str, str] | None:
        """The next mailbox with an order, and the order."""
        is_accepting = self._is_accepting_new()
        mailboxes = [self._mailbox, *([_FOR_ANY] if is_accepting else ())]
        is_settled = is_accepting or self._accepts_new is None
        timeout = POLL_TIMEOUT if is_settled else RECHECK_INTERVAL
        try:
            async with answer_within(timeout + ANSWER_TIMEOUT):
                received = await self._redis.blpop(mailboxes, timeout)
            if received is None:
                return None
            mailbox, message = map(str, received)
            if (
                mailbox == _FOR_ANY and not self._is_accepting_new()
            ):  # by now: another's, if there is one
                await self._put_back(message)
                return None
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("command poll failed: %s", exc or "no answer")
            await asyncio.sleep(RECHECK_INTERVAL)
            return None
        return mailbox, message

    def _is_accepting_new(self) -> bool:
        return self._accepts_new is not None and self._accepts_new()

    async def _put_back(self, message: str) -> None:
        async with answer_within(REDIS_TIMEOUT), self._redis.pipeline(transaction=True) as pipe:
            pipe.lpush(_FOR_ANY, message)
            pipe.expire(_FOR_ANY, int(2 * ANSWER_TIMEOUT))
            await pipe.execute()

    async def _execute(self, mailbox: str, message: str) -> None:
        try:
            order = json.loads(message)
            if (why := self._keys.check(order)) is not None:
                await self._refuse(why, {})
                # Signed it would be an answer to whichever order the id is of.
                await self._answer(str(order["id"]), {"refused": _NOT_PROVEN})
                return
            fields = (order[name] for name in ("what", "by", "detail", "consultant", "id"))
            command, call_id = CallCommand(*fields), order["call"]
            proven = {"what": command.what, "by": command.by, "call": first_id(call_id)}
            if (why := self._take(mailbox, order)) is not None:
                await self._refuse(why, proven)
                return
            try:
                answer = await self._run_command(call_id, command)
            except OrderReplayed:
                await self._refuse(OrderRefusal.REPLAYED, proven)
                return  # whoever gave it has the answer to the first
            await self._answer(order["id"], self._keys.sign_answer(order, answer))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            log.error("command dropped: unreadable: %r", exc)
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("command answer lost: %s", exc or "no answer")

    def _take(self, mailbox: str, order: Mapping[str, Any]) -> OrderRefusal | None:
        """Take a proven order, once; why it is not taken."""
        now = time.time()
        while self._expiries and next(iter(self._expiries.values())) < now:  # the oldest is first
            del self._expiries[next(iter(self._expiries))]
        if order["to"] != mailbox:
            return OrderRefusal.MISDIRECTED
        if order["until"] < now:
            return OrderRefusal.EXPIRED
        if order["id"] in self._expiries:
            return OrderRefusal.REPLAYED
        self._expiries[order["id"]] = order["until"]
        return None

    async def _refuse(self, why: OrderRefusal, proven: Mapping[str, str]) -> None:
        said = ", ".join(f"{name} {value}" for name, value in proven.items())
        log.error("command refused: %s: %s", why.value, said or "nothing is proven of it")
        await self._on_refused(why, proven)

    async def _answer(self, order_id: str, answer: Mapping[str, object]) -> None:
        answers = f"orders:answer:{order_id}"
        async with answer_within(REDIS_TIMEOUT), self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(answers, json.dumps(answer))
            pipe.expire(answers, int(2 * ANSWER_TIMEOUT))
            await pipe.execute()

    async def _run_command(self, call_id: str, command: CallCommand) -> dict[str, object]:
        try:
            async with asyncio.timeout(EXECUTION_TIMEOUT):
                return {"done": dict(await self._handle(call_id, command))}
        except OrderReplayed:
            raise
        except InvalidRequest as exc:
            return {"refused": str(exc)}
        except (CallcenterError, TimeoutError) as exc:
            log.error("command failed: %s: %s", command.what, exc or "took too long")
            return {"failed": str(exc) or "it took too long: check what the call is doing"}
        except Exception:
            log.exception("command failed: %s: our fault", command.what)
            return {"failed": "it failed by our fault: check what the call is doing"}
