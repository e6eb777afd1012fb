"""Whoever can write to Redis orders nothing: each try is refused, logged and audited."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd import command_bus
from callcenter.telephony.acd.command_bus import (
    CALL_ORDERS,
    CommandClient,
    CommandServer,
    Refused,
)
from callcenter.telephony.acd.order_audit import OrderAudit
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    OrderReplayed,
)
from callcenter.telephony.acd.rules.order_proof import OrderKeys, OrderRefusal
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.supervision_guard import SupervisionGuard
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.story import Story
from tests.orders import KEYS

CALL, OTHER_CALL = "1764000000.1", "1764000000.2"
CONTROLLER, OTHER_CONTROLLER = "line-1.0123abcd", "line-2.4567cdef"
MAILBOX = f"orders:{CONTROLLER}"
HEAD = "user:aliya"
LIMIT = 30.0  # seconds

Order = dict[str, Any]


def listening() -> Order:
    """What the pages put into Redis when a head listens to the call of 201."""
    return {
        "id": "0f" * 16,
        "to": MAILBOX,
        "call": CALL,
        "what": SUPERVISE,
        "by": HEAD,
        "detail": {"mode": "listen", "extension": "202", "hears": "201"},
        "consultant": "201",
        "until": time.time() + 5,
    }


def signed(**other: object) -> Order:
    return KEYS.sign({**listening(), **other})


def altered(**other: object) -> Order:
    """A right order that somebody has changed, with the proof of the right one."""
    return {**signed(), **other}


def unsigned() -> Order:
    return listening()


def with_another_secret() -> Order:
    return OrderKeys(CALL_ORDERS, ["a guess"]).sign(listening())


def of_another_sender() -> Order:
    return altered(by="user:nobody")


def for_another_call() -> Order:
    return altered(call=OTHER_CALL)


def of_another_consultant() -> Order:
    return altered(consultant="205")


def for_another_telephone() -> Order:
    return altered(detail={"mode": "listen", "extension": "901"})


def without_an_end() -> Order:
    return altered(until=time.time() + 3600)


def for_another_controller() -> Order:
    """A right one that was given to the controller of another call."""
    return signed(to=f"orders:{OTHER_CONTROLLER}")


def expired() -> Order:
    return signed(until=time.time() - 0.1)


PROVEN = {"what": SUPERVISE, "by": HEAD, "call": CALL}


class Controller:
    """A controller with its audit log, and what it has carried out."""

    def __init__(self) -> None:
        self.carried_out: list[tuple[str, CallCommand]] = []

    async def give(self, call_id: str, order: CallCommand) -> Answer:
        self.carried_out.append((call_id, order))
        return {"state": "ringing"}


async def _forget(why: OrderRefusal, proven: Mapping[str, str]) -> None:
    """Of a refused order only the log tells."""


@asynccontextmanager
async def serving(
    redis: Redis,
    give: Callable[[str, CallCommand], Awaitable[Answer]],
    refused: Refused = _forget,
    keys: OrderKeys = KEYS,
    accepts_new: Callable[[], bool] | None = None,
) -> AsyncIterator[None]:
    """A controller that carries out orders within the block."""
    server = CommandServer(redis, CONTROLLER, keys, give, refused, accepts_new)
    running = asyncio.create_task(server.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def controller(redis: Redis, engine: AsyncEngine) -> AsyncIterator[Controller]:
    made = Controller()
    async with serving(redis, made.give, OrderAudit(engine, CONTROLLER).record_refused):
        yield made


async def audited(engine: AsyncEngine, count: int) -> list[tuple[str, str, str, dict[str, str]]]:
    """The entries of the audit log, once there are so many."""
    columns = select(
        audit_entry.c.who, audit_entry.c.action, audit_entry.c.subject, audit_entry.c.detail
    )
    async with asyncio.timeout(LIMIT):
        while True:
            async with engine.connect() as connection:
                entries = [tuple(row) for row in await connection.execute(columns)]
            if len(entries) >= count:
                return entries
            await asyncio.sleep(0.02)


def refusal(why: str, **proven: str) -> tuple[str, str, str, dict[str, str]]:
    who = f"system:{CONTROLLER}"
    return who, "controller:order:refused", f"process:{CONTROLLER}", {"why": why, **proven}


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (unsigned, "unsigned"),
        (with_another_secret, "forged"),
        (of_another_sender, "forged"),
        (for_another_call, "forged"),
        (of_another_consultant, "forged"),
        (for_another_telephone, "forged"),
        (without_an_end, "forged"),
        (for_another_controller, "misdirected"),
        (expired, "expired"),
    ],
)
async def test_an_order_without_its_proof_is_refused_logged_and_audited(
    redis: Redis,
    engine: AsyncEngine,
    controller: Controller,
    caplog: pytest.LogCaptureFixture,
    order: Callable[[], Order],
    why: str,
) -> None:
    await redis.rpush(MAILBOX, json.dumps(order()))
    proven = PROVEN if why in ("misdirected", "expired") else {}
    assert await audited(engine, 1) == [refusal(why, **proven)]
    assert controller.carried_out == []
    assert f"command refused: {why}" in caplog.text


async def test_a_replayed_order_is_refused_logged_and_audited(
    redis: Redis,
    engine: AsyncEngine,
    controller: Controller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = json.dumps(signed())
    await redis.rpush(MAILBOX, order, order)
    assert await audited(engine, 1) == [refusal("replayed", **PROVEN)]
    detail = listening()["detail"]
    assert controller.carried_out == [(CALL, CallCommand(SUPERVISE, HEAD, detail, "201"))]
    assert "command refused: replayed" in caplog.text


async def test_a_flood_of_forged_orders_leaves_one_entry(
    redis: Redis, engine: AsyncEngine, controller: Controller
) -> None:
    await redis.rpush(MAILBOX, *[json.dumps(unsigned())] * 50, json.dumps(expired()))
    entries = await audited(engine, 2)
    assert len(entries) == 2
    assert refusal("unsigned") in entries
    assert refusal("expired", **PROVEN) in entries


async def test_a_sender_without_the_secret_reads_why(
    redis: Redis, engine: AsyncEngine, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_bus, "ANSWER_TIMEOUT", 1.0)
    await redis.hset("desk:holders", "201", f"{CALL} {CONTROLLER}")
    stranger = CommandClient(redis, OrderKeys(CALL_ORDERS, ["another"]))
    with pytest.raises(OperationFailed, match="have all processes this version and one secret"):
        await stranger.send_to_consultant("201", CallCommand("hold", "self"))


async def test_a_sender_of_a_version_before_reads_why(redis: Redis) -> None:
    """Its order has no proof, and it looks for none in the answer."""
    async with serving(redis, Controller().give):
        await redis.rpush(MAILBOX, json.dumps(unsigned()))
        answer = await redis.blpop([f"orders:answer:{unsigned()['id']}"], LIMIT)
    assert answer is not None
    assert "it is of an old version" in json.loads(answer[1])["refused"]


DONE = {"done": {"state": "ringing"}}
FORGED = {"done": {"state": "talking"}}


def proven(keys: OrderKeys, order_id: str, answer: Mapping[str, object]) -> Order:
    return keys.sign_answer(keys.sign({"id": order_id}), answer)


def unsigned_answer(order_id: str) -> object:
    """That of a version before proofs, or of whoever can write to Redis."""
    return FORGED


def answer_with_another_secret(order_id: str) -> object:
    return proven(OrderKeys(CALL_ORDERS, ["a guess"]), order_id, FORGED)


def altered_answer(order_id: str) -> object:
    return {**proven(KEYS, order_id, DONE), **FORGED}


def answer_to_another_order(order_id: str) -> object:
    """A right one, given to another order."""
    return proven(KEYS, "another", DONE)


def an_order(order_id: str) -> object:
    """Which our processes have signed too."""
    return signed(**FORGED)


def no_answer_at_all(order_id: str) -> object:
    return ["done"]


FORGERIES = pytest.mark.parametrize(
    "forge",
    [
        unsigned_answer,
        answer_with_another_secret,
        altered_answer,
        answer_to_another_order,
        an_order,
        no_answer_at_all,
    ],
)
Forge = Callable[[str], object]


@asynccontextmanager
async def intercepted(redis: Redis) -> AsyncIterator[tuple[asyncio.Task[Answer], str, str]]:
    """An order that somebody has taken out of Redis: who waits for its answer, it, its id."""
    await redis.hset("desk:holders", "201", f"{CALL} {CONTROLLER}")
    pages = CommandClient(redis, KEYS)
    order = CallCommand("hold", "self")
    waiting = asyncio.create_task(pages.send_to_consultant("201", order))
    taken = await redis.blpop([MAILBOX], LIMIT)
    assert taken is not None
    yield waiting, str(taken[1]), json.loads(taken[1])["id"]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@FORGERIES
async def test_an_answer_without_its_proof_is_refused_and_logged(
    redis: Redis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    forge: Forge,
) -> None:
    monkeypatch.setattr(command_bus, "ANSWER_TIMEOUT", 1.0)
    async with intercepted(redis) as (waiting, _, order_id):
        await redis.rpush(f"orders:answer:{order_id}", *[json.dumps(forge(order_id))] * 9)
        with pytest.raises(OperationFailed, match="no answer with a right proof"):
            await waiting
    assert caplog.text.count("answer refused") == 1


@FORGERIES
async def test_a_right_answer_counts_after_a_forged_one(redis: Redis, forge: Forge) -> None:
    async with intercepted(redis) as (waiting, order, order_id):
        await redis.rpush(f"orders:answer:{order_id}", json.dumps(forge(order_id)))
        async with serving(redis, Controller().give):
            await redis.rpush(MAILBOX, order)
            assert await waiting == {"state": "ringing"}


async def test_a_controller_proves_no_answer_to_a_forged_order(redis: Redis) -> None:
    """Else it would prove one, a refusal, to whichever order has the same id."""
    async with (
        intercepted(redis) as (waiting, order, order_id),
        serving(redis, Controller().give),
    ):
        await redis.rpush(MAILBOX, json.dumps({**unsigned(), "id": order_id}))
        await redis.rpush(MAILBOX, order)
        assert await waiting == {"state": "ringing"}


@pytest.mark.parametrize(
    ("sends", "verifies"), [("old", "old new"), ("new", "old new"), ("new old", "old new")]
)
async def test_a_secret_is_rotated_while_both_words_count(
    redis: Redis, sends: str, verifies: str
) -> None:
    async def refused(*why: object) -> None:
        raise AssertionError(why)

    keys = OrderKeys(CALL_ORDERS, verifies.split())
    async with serving(redis, Controller().give, refused, keys):
        await redis.hset("desk:holders", "201", f"{CALL} {CONTROLLER}")
        pages = CommandClient(redis, OrderKeys(CALL_ORDERS, sends.split()))
        assert await pages.send_to_consultant("201", CallCommand("hold", "self"))


async def test_who_listens_has_an_entry_before_anything_is_heard(engine: AsyncEngine) -> None:
    detail = {"mode": "listen", "extension": "202", "id": "0", "hears": "201"}
    order = CallCommand(SUPERVISE, HEAD, detail, "201")
    await OrderAudit(engine, CONTROLLER).record_taken(f"{CALL}+1", order)
    [entry] = await audited(engine, 1)
    assert entry == (
        f"system:{CONTROLLER}",
        "controller:order:taken",
        f"call:{CALL}",
        {
            "by": HEAD,
            "what": SUPERVISE,
            "consultant": "201",
            "mode": "listen",
            "extension": "202",
            "process": CONTROLLER,
        },
    )


async def test_a_supervisor_who_got_the_caller_has_an_entry(engine: AsyncEngine) -> None:
    """The controller's own, after the fact: no caller waits for the audit log."""

    async def is_permitted(*_: object) -> bool:
        return True

    async def join(order: CallCommand) -> Answer:
        return {"mode": order.detail["mode"], "state": "ringing"}

    tasks = asyncio.all_tasks()
    call, calls = FakeTelephony(Story()).call(), ActiveCalls()
    calls.begin(call)
    audit = OrderAudit(engine, CONTROLLER)
    guard = SupervisionGuard(engine, calls, audit, is_permitted, Subscription())
    order = CallCommand(SUPERVISE, HEAD, {"mode": "join", "extension": "202"}, "201")
    with call.commands.handled_by(join):
        await guard.carry_out(f"{call.leg.id}+1", order)
    running = asyncio.create_task(guard.run())
    await asyncio.sleep(0)
    call.on_supervisor_claimed("203")
    running.cancel()  # as the controller ends
    await asyncio.wait((running,))
    assert asyncio.all_tasks() == tasks
    [_, entry] = await audited(engine, 2)
    assert entry == (
        f"system:{CONTROLLER}",
        "controller:supervision:claimed",
        f"call:{call.leg.id}",
        {"supervisor": HEAD, "extension": "202", "consultant": "203"},
    )


async def test_without_the_audit_log_nobody_listens() -> None:
    nowhere = create_async_engine("postgresql+psycopg://nobody@/nowhere?host=/nowhere")
    with pytest.raises(OperationFailed, match="audit log"):
        await OrderAudit(nowhere, CONTROLLER).record_taken(CALL, CallCommand(SUPERVISE, HEAD))
    await nowhere.dispose()


async def test_an_order_that_another_controller_took_is_refused(
    redis: Redis, engine: AsyncEngine
) -> None:
    """The database tells of it, by the id of the call that it began."""

    async def give(call_id: str, order: CallCommand) -> Answer:
        assert order.order == listening()["id"]
        raise OrderReplayed

    async with serving(redis, give, OrderAudit(engine, CONTROLLER).record_refused):
        await redis.rpush(MAILBOX, json.dumps(signed()))
        assert await audited(engine, 1) == [refusal("replayed", **PROVEN)]
        assert await redis.exists(f"orders:answer:{listening()['id']}") == 0


async def test_an_order_for_any_controller_is_taken_by_one(redis: Redis) -> None:
    """The proof is of the mailbox for all of them, so none takes it from its own."""
    controller = Controller()
    why: list[str] = []

    async def refused(reason: OrderRefusal, _: object) -> None:
        why.append(reason)

    async with serving(redis, controller.give, refused, accepts_new=lambda: True):
        mailbox = f"orders:{command_bus.ANY_CONTROLLER}"
        begin = signed(to=mailbox, call=command_bus.NO_CALL, what="call")
        await redis.rpush(MAILBOX, json.dumps(begin))
        await redis.rpush(mailbox, json.dumps(begin))
        async with asyncio.timeout(LIMIT):
            while not (why and controller.carried_out):
                await asyncio.sleep(0.02)
        assert (why, len(controller.carried_out)) == (["misdirected"], 1)
