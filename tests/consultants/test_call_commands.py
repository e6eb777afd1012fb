"""Call commands on a real Redis: to the right call, at most once, with an answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from callcenter.consultants.redis_script import REDIS_TIMEOUT
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.acd import command_bus
from callcenter.telephony.acd.command_bus import NoActiveCall
from callcenter.telephony.acd.rules.call_commands import (
    Answer,
    CallCommand,
    CommandRefused,
    CommandRouter,
)
from tests.orders import KEYS, command_client, command_server

CALL, CONTROLLER, EXTENSION = "1764000000.1", "line-1", "201"
COMMAND = CallCommand("transfer", "self", {"to": "queue"})


class Controller:
    """Controller with one call and its received commands."""

    def __init__(self) -> None:
        self.router = CommandRouter()
        self.given: list[str] = []

    async def give(self, call_id: str, order: CallCommand) -> Answer:
        self.given.append(call_id)
        return await self.router.dispatch(order)


@pytest.fixture
async def controller(redis: Redis) -> AsyncIterator[Controller]:
    await redis.hset("desk:holders", EXTENSION, f"{CALL} {CONTROLLER}")
    made = Controller()
    running = asyncio.create_task(command_server(redis, CONTROLLER, made.give).run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_order_reaches_the_call_and_its_answer_comes_back(
    redis: Redis, controller: Controller
) -> None:
    taken: list[CallCommand] = []

    async def take(order: CallCommand) -> Answer:
        taken.append(order)
        return {"state": "ringing"}

    with controller.router.handled_by(take):
        answer = await command_client(redis).send_to_consultant(EXTENSION, COMMAND)
    assert answer == {"state": "ringing"}
    assert taken == [replace(COMMAND, consultant=EXTENSION)]
    assert controller.given == [CALL]
    assert await redis.keys("orders:*") == []


async def test_what_the_call_does_not_do_is_refused(redis: Redis, controller: Controller) -> None:
    with pytest.raises(CommandRefused, match="not where this can be done"):
        await command_client(redis).send_to_consultant(EXTENSION, COMMAND)


async def test_the_reason_of_a_refusal_is_returned(redis: Redis, controller: Controller) -> None:
    async def take(_: CallCommand) -> Answer:
        raise CommandRefused("202 is paused")

    with controller.router.handled_by(take), pytest.raises(CommandRefused, match="202 is paused"):
        await command_client(redis).send_to_consultant(EXTENSION, COMMAND)


async def test_a_fault_of_ours_is_reported_without_its_particulars(
    redis: Redis, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    async def take(_: CallCommand) -> Answer:
        raise RuntimeError("+77011234567")

    with (
        controller.router.handled_by(take),
        pytest.raises(OperationFailed, match="by our fault"),
    ):
        await command_client(redis).send_to_consultant(EXTENSION, COMMAND)
    assert "our fault" in caplog.text


async def test_who_has_no_call_learns_so(redis: Redis) -> None:
    with pytest.raises(NoActiveCall):
        await command_client(redis).send_to_consultant("299", COMMAND)


async def test_a_controller_that_died_is_not_waited_for_for_ever(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_bus, "ANSWER_TIMEOUT", 0.2)
    await redis.hset("desk:holders", EXTENSION, f"{CALL} line-dead")
    with pytest.raises(OperationFailed, match="did not answer"):
        await command_client(redis).send_to_consultant(EXTENSION, COMMAND)


async def test_late_or_garbage_commands_are_dropped_and_disturb_nobody(
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
    late |= {"to": f"orders:{CONTROLLER}", "until": time.time()}
    for letter in ("{", "[]", '{"id": 1}', "\x00" * 70_000, json.dumps(KEYS.sign(late))):
        await redis.rpush(f"orders:{CONTROLLER}", letter)

    async def take(_: CallCommand) -> Answer:
        return {}

    with controller.router.handled_by(take):
        assert await command_client(redis).send_to_consultant(EXTENSION, COMMAND) == {}
    assert controller.given == [CALL]
    assert "command refused: expired" in caplog.text


async def test_a_command_during_a_standstill_is_carried_out(
    redis: Redis, redis_url: str, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_bus, "POLL_TIMEOUT", 0.3)

    async def take(_: CallCommand) -> Answer:
        return {}

    async def listens() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"])

    async with asyncio.timeout(30):
        while not await listens():
            await asyncio.sleep(0)
    letter: dict[str, object] = {"id": "x", "call": CALL, "what": "w", "by": "self"}
    letter |= {"detail": {}, "consultant": "", "to": f"orders:{CONTROLLER}"}
    with controller.router.handled_by(take):
        stand_still(redis_url, json.dumps(KEYS.sign({**letter, "until": time.time() + 5})))
        answered = await redis.blpop(["orders:answer:x"], 5)
    assert answered is not None
    assert controller.given == [CALL]


async def test_a_command_for_anybody_is_left_to_admitting_controllers(redis: Redis) -> None:
    """One that waits for commands, and by the time that one comes takes no new calls any more."""
    first, second = Controller(), Controller()
    accepting = {"line-1": True, "line-2": False}

    async def take(_: CallCommand) -> Answer:
        return {}

    def serve(name: str, controller: Controller) -> asyncio.Task[None]:
        server = command_server(redis, name, controller.give, lambda: accepting[name])
        return asyncio.create_task(server.run())

    async def listen(count: int) -> None:
        async with asyncio.timeout(10):
            while (await redis.info("clients"))["blocked_clients"] < count:
                await asyncio.sleep(0.01)

    await redis.zadd("desk:controllers", {"line-1": time.time() + 60})
    tasks = [serve("line-1", first)]
    await listen(1)
    accepting.update({"line-1": False, "line-2": True})
    tasks.append(serve("line-2", second))
    await listen(2)
    with first.router.handled_by(take), second.router.handled_by(take):
        assert await command_client(redis).send_to_any_controller(COMMAND) == {}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (first.given, second.given) == ([], [command_bus.NO_CALL])


def stand_still(redis_url: str, letter: str) -> None:
    """Block the process for longer than the limit of Redis."""
    with BlockingRedis.from_url(redis_url) as other:
        other.rpush(f"orders:{CONTROLLER}", letter)
    time.sleep(REDIS_TIMEOUT + 0.6)


async def test_the_innermost_handler_takes_one_command_at_a_time() -> None:
    router = CommandRouter()
    under_way = 0

    async def outer(order: CallCommand) -> Answer | None:
        return {"by": "outer"}

    async def inner(order: CallCommand) -> Answer | None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0)
        under_way -= 1
        return {"by": "inner"} if order.what == "transfer" else None

    with router.handled_by(outer), router.handled_by(inner):
        answers = await asyncio.gather(
            router.dispatch(COMMAND),
            router.dispatch(CallCommand("listen", "user:head")),
            router.dispatch(COMMAND),
        )
    assert [answer["by"] for answer in answers] == ["inner", "outer", "inner"]
    with pytest.raises(CommandRefused):
        await router.dispatch(COMMAND)
