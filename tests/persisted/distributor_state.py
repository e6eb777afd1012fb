"""State of the distributor in Redis in the midst of work, and how it is dumped and put back."""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import PlainRules
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.monitoring.alerts import (
    raise_alert,
    raise_alert_of_new,
    raise_alert_once,
)
from callcenter.telephony.acd.alerts import NOBODY_SIGNED_IN, URGENT_WAITS
from callcenter.telephony.acd.command_bus import ActiveCallRef
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.controller.alerts import DISK_FILLS
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from tests.consultants.distributors import FREE, TALKING, UNREGISTERED, consultant
from tests.orders import command_client
from tests.persisted.calls import CALLS

RULES = PlainRules(sign_in_required=True, wrap_up=60)
INSTANCE = "line-1.0123abcd"
BY, WHY = "user:aliya", "a fire drill: nobody at the desks"
ORDER = CallCommand("transfer", "self", {"to": "203"}, "205")
CREW = (
    consultant(201, "kk", "ru"),
    consultant(202, "kk", lawyer=3),
    consultant(203, "ru"),
    consultant(204, "kk", "ru", lawyer=5, psychologist=1),
    consultant(205, "ru"),
    consultant(206, "kk"),
    consultant(207, "ru"),
    consultant(208, "kk", lawyer=4),
    consultant(209, "ru"),
    consultant(210, "ru"),
)


async def fill(redis: Redis) -> None:
    """Fill Redis: somebody is in every state, somebody waits for everything, and the rest."""
    distributor, presence, directing = (
        RedisCallDistributor(redis, INSTANCE, RULES),
        PresenceService(redis, RULES),
        QueueControl(redis, RULES),
    )
    await distributor.update_roster(CREW)
    do = distributor.script
    stamps = itertools.count(1764230400.5, 0.01)

    async def offer(call: str, language: str, number: int, extension: str) -> None:
        """Offer a consultant who is free again to a caller who waits for nobody else."""
        await distributor.update_devices({extension: TALKING}, next(stamps))
        await do("wait", call, INSTANCE, language, *_place(number), f"@{extension}", "")
        await distributor.update_devices({extension: FREE}, next(stamps))

    await do("tick", INSTANCE)
    await do("web")
    await distributor.update_devices({each.extension: FREE for each in CREW}, next(stamps))
    for each in CREW:
        await presence.ask(
            each.extension, PresenceState.READY, by="self", page=each.extension == "201"
        )
    await presence.ask("203", PresenceState.PAUSED, by=BY, reason="lunch")
    await presence.ask("202", PresenceState.SIGNED_OUT, by="self")
    await presence.report_page_open("201")
    await directing.pause_queue("ru", 600, by=BY, reason=WHY)
    await directing.pause_queue("all", 60, by=BY, reason="short")
    await offer("call-1", "ru", 1, "201")  # and not taken yet
    await offer("call-2", "kk", 2, "206")
    await do("stage", "call-2", "ringing")
    await offer("call-3", "ru", 3, "205")
    await do("stage", "call-3", "talking")
    await presence.ask(
        "205", PresenceState.PAUSED, by="self", reason="meeting"
    )  # after the conversation
    await offer("call-4", "ru", 4, "207")
    await do("stage", "call-4", "talking")
    await do("leave", "call-4", "talked", "42.500", INSTANCE)  # wraps up
    await do("occupy", "call-5", INSTANCE, "204")
    await do("wait", "call-6", INSTANCE, "kk", *_place(6), "kk", "")
    await do("wait", "call-7", INSTANCE, "kk", *_place(7), "kk:lawyer:3", "")
    await do("wait", "call-8", INSTANCE, "ru", *_place(8), "@203", "")
    await do("wait", "message-9", INSTANCE, "ru", *_place(9), "ru", "")
    await offer("call-10", "ru", 10, "209")
    await do("leave", "call-10", "unanswered", "", INSTANCE)  # rests
    await offer("call-11", "ru", 11, "210")
    await presence.ask("210", PresenceState.PAUSED, by=BY, reason="lunch")  # the offer is withdrawn
    await distributor.update_devices({"205": TALKING, "203": UNREGISTERED}, 1764230401.5)
    await raise_alert(redis, NOBODY_SIGNED_IN, "kk")
    await raise_alert_once(redis, URGENT_WAITS, "kk", "urgent:call-6", within=300)
    await raise_alert_of_new(redis, DISK_FILLS, ["recordings"], within=3600)
    await remember(redis, CALLS)
    await order(redis)


async def remember(redis: Redis, calls: dict[str, CallState]) -> None:
    """Keep where these calls are."""
    memory = RedisCallStateStore(redis)
    running = asyncio.create_task(memory.run())
    for leg, where in calls.items():
        memory.save(leg, where)
    async with asyncio.timeout(30):
        while len(await redis.keys("call:where:*")) < len(calls):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def order(redis: Redis) -> None:
    """One order that nobody has taken yet."""
    requested = asyncio.create_task(
        command_client(redis).send_to_call(ActiveCallRef("call-3", INSTANCE, "205"), ORDER)
    )
    async with asyncio.timeout(30):
        while not await redis.exists(f"orders:{INSTANCE}"):
            await asyncio.sleep(0.01)
    requested.cancel()
    await asyncio.gather(requested, return_exceptions=True)


def _place(number: int) -> tuple[str, str]:
    return f"{1764230400 + number}.000000", f"{1764230400 + number}.000000"


async def dump(redis: Redis) -> dict[str, Any]:
    """Every key with its type, what it holds, and whether it ends by itself."""
    read: dict[str, Callable[[str], Awaitable[Any]]] = {
        "string": redis.get,
        "hash": redis.hgetall,
        "set": redis.smembers,
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "stream": redis.xrange,
    }
    dumped = {}
    for key in sorted(map(str, await redis.keys("*"))):
        kind = str(await redis.type(key))
        held = await read[kind](key)
        if kind == "set":
            held = sorted(held)
        dumped[key] = {"type": kind, "ends": await redis.ttl(key) > 0, "holds": held}
    reported: dict[str, Any] = json.loads(json.dumps(dumped))
    return reported


async def restore(redis: Redis, dumped: dict[str, Any]) -> None:
    """Put back what was dumped. What ends by itself has a minute."""
    async with AsyncExitStack() as stack:
        together = await stack.enter_async_context(redis.pipeline(transaction=True))
        for key, entry in dumped.items():
            held = entry["holds"]
            match entry["type"]:
                case "string":
                    together.set(key, held)
                case "hash":
                    together.hset(key, mapping=held)
                case "set":
                    together.sadd(key, *held)
                case "list":
                    together.rpush(key, *held)
                case "zset":
                    together.zadd(key, dict(held))
                case "stream":
                    for number, fields in held:
                        together.xadd(key, fields, id=number)
            if entry["ends"]:
                together.expire(key, 60)
        await together.execute()


def shape(dumped: dict[str, Any]) -> str:
    """What was dumped without the times and ids that are others each time."""
    text = json.dumps(dumped, indent=1, sort_keys=True, ensure_ascii=False)
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    return re.sub(r"\b[0-9]{10,}(\.[0-9]+)?(-[0-9]+)?", "TIME", text)
