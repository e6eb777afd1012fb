"""Orders for calls under way: to the right call, once, with an answer, on the real Redis."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from callcenter.consultants import dispatch
from callcenter.consultants.dispatch import Dispatch, Mailbox, NoCall
from callcenter.consultants.orders import Answer, Order, OrderRefused, Orders
from callcenter.consultants.script import LIMIT
from callcenter.errors import WeFailed

CALL, CONTROLLER, EXTENSION = "1764000000.1", "line-1", "201"
ASKED = Order("transfer", "self", {"to": "queue"})


class Controller:
    """Has one call, and what was asked of it."""

    def __init__(self) -> None:
        self.orders = Orders()
        self.given: list[str] = []

    async def give(self, call_id: str, order: Order) -> Answer:
        self.given.append(call_id)
        return await self.orders.give(order)


@pytest.fixture
async def controller(redis: Redis) -> AsyncIterator[Controller]:
    await redis.hset("desk:holders", EXTENSION, f"{CALL} {CONTROLLER}")
    made = Controller()
    running = asyncio.create_task(Mailbox(redis, CONTROLLER, made.give).run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_order_reaches_the_call_and_its_answer_comes_back(
    redis: Redis, controller: Controller
) -> None:
    taken: list[Order] = []

    async def take(order: Order) -> Answer:
        taken.append(order)
        return {"state": "ringing"}

    with controller.orders.taken_by(take):
        answer = await Dispatch(redis).to_consultant(EXTENSION, ASKED)
    assert answer == {"state": "ringing"}
    assert taken == [replace(ASKED, consultant=EXTENSION)]
    assert controller.given == [CALL]
    assert await redis.keys("orders:*") == []


async def test_what_the_call_does_not_do_is_refused(redis: Redis, controller: Controller) -> None:
    with pytest.raises(OrderRefused, match="not where this can be done"):
        await Dispatch(redis).to_consultant(EXTENSION, ASKED)


async def test_the_reason_of_a_refusal_is_told(redis: Redis, controller: Controller) -> None:
    async def take(_: Order) -> Answer:
        raise OrderRefused("202 is paused")

    with controller.orders.taken_by(take), pytest.raises(OrderRefused, match="202 is paused"):
        await Dispatch(redis).to_consultant(EXTENSION, ASKED)


async def test_a_fault_of_ours_is_told_without_its_particulars(
    redis: Redis, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    async def take(_: Order) -> Answer:
        raise RuntimeError("+77011234567")

    with controller.orders.taken_by(take), pytest.raises(WeFailed, match="our part failed"):
        await Dispatch(redis).to_consultant(EXTENSION, ASKED)
    assert "our part failed" in caplog.text


async def test_who_has_no_call_is_told_so(redis: Redis) -> None:
    with pytest.raises(NoCall):
        await Dispatch(redis).to_consultant("299", ASKED)


async def test_a_controller_that_died_is_not_waited_for_for_ever(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "ANSWER_LIMIT", 0.2)
    await redis.hset("desk:holders", EXTENSION, f"{CALL} line-dead")
    with pytest.raises(WeFailed, match="did not answer"):
        await Dispatch(redis).to_consultant(EXTENSION, ASKED)


async def test_letters_that_are_late_or_garbage_are_dropped_and_disturb_nobody(
    redis: Redis, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    late: dict[str, object] = {
        "id": "x",
        "call": CALL,
        "what": "w",
        "by": "self",
        "detail": {},
        "consultant": "",
    }
    late["until"] = time.time()
    for letter in ("{", "[]", '{"id": 1}', "\x00" * 70_000, json.dumps(late)):
        await redis.rpush(f"orders:{CONTROLLER}", letter)

    async def take(_: Order) -> Answer:
        return {}

    with controller.orders.taken_by(take):
        assert await Dispatch(redis).to_consultant(EXTENSION, ASKED) == {}
    assert controller.given == [CALL]
    assert "too late" in caplog.text


async def test_an_order_that_comes_while_its_controller_stands_still_is_carried_out(
    redis: Redis, redis_url: str, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LISTEN", 0.3)

    async def take(_: Order) -> Answer:
        return {}

    async def listens() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"])

    async with asyncio.timeout(5):
        while not await listens():
            await asyncio.sleep(0)
    letter = {"id": "x", "call": CALL, "what": "w", "by": "self", "detail": {}, "consultant": ""}
    with controller.orders.taken_by(take):
        stand_still(redis_url, json.dumps({**letter, "until": time.time() + 5}))
        answered = await redis.blpop(["orders:answer:x"], 5)
    assert answered is not None
    assert controller.given == [CALL]


def stand_still(redis_url: str, letter: str) -> None:
    """For longer than Redis has to answer; another process gives the order meanwhile."""
    with BlockingRedis.from_url(redis_url) as other:
        other.rpush(f"orders:{CONTROLLER}", letter)
    time.sleep(LIMIT + 0.6)


async def test_the_innermost_taker_is_asked_first_and_one_order_at_a_time() -> None:
    orders = Orders()
    under_way = 0

    async def outer(order: Order) -> Answer | None:
        return {"by": "outer"}

    async def inner(order: Order) -> Answer | None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0)
        under_way -= 1
        return {"by": "inner"} if order.what == "transfer" else None

    with orders.taken_by(outer), orders.taken_by(inner):
        answers = await asyncio.gather(
            orders.give(ASKED), orders.give(Order("listen", "user:head")), orders.give(ASKED)
        )
    assert [answer["by"] for answer in answers] == ["inner", "outer", "inner"]
    with pytest.raises(OrderRefused):
        await orders.give(ASKED)
