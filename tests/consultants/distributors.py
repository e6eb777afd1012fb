"""Distributors on a real Redis, with consultants."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import PlainRules
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.store import Consultant
from callcenter.telephony.acd.distributor import PLAIN_RULES, RedisCallDistributor

FREE, TALKING, UNREGISTERED = "NOT_INUSE", "INUSE", "UNAVAILABLE"
PATIENCE = 20.0
SIGN_IN = PlainRules(sign_in_required=True, wrap_up=0.3, away_limit=0.1)
PLAIN = PlainRules()


def consultant(extension: int | str, *languages: str, **skills: int) -> Consultant:
    spoken = languages or ("kk", "ru")
    return Consultant(uuid4(), str(extension), "Aigul", spoken, "", True, skills)


@asynccontextmanager
async def running_distributor(
    redis: Redis, name: str, *consultants: Consultant, rules: PlainRules = PLAIN_RULES
) -> AsyncIterator[RedisCallDistributor]:
    """Run a distributor for a controller of this name, with these consultants."""
    distributor = RedisCallDistributor(redis, name, rules)
    running = asyncio.create_task(distributor.run())
    await distributor.update_roster(consultants)
    await distributor.script("tick", name)
    try:
        yield distributor
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def distributor_and_presence(
    redis: Redis, rules: PlainRules, *extensions: str
) -> AsyncIterator[tuple[RedisCallDistributor, PresenceService]]:
    """Run a distributor and presence; telephones are registered and free."""
    crew = [consultant(extension) for extension in extensions]
    async with running_distributor(redis, "line-1", *crew, rules=rules) as distributor:
        await distributor.update_devices(dict.fromkeys(extensions, FREE), 1)
        yield distributor, PresenceService(redis, rules)


async def run_all(callers: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them at once. One that fails ends the others: they would connect with Redis again."""
    async with asyncio.TaskGroup() as tasks:
        for each in callers:
            tasks.create_task(each)


async def until_waiting(redis: Redis, callers: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await redis.zcard("desk:waiting") != callers:
            await asyncio.sleep(0.001)


async def until_state(presence: PresenceService, extension: str, state: PresenceState) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await presence.of(extension)).state is not state:
            await asyncio.sleep(0.01)
