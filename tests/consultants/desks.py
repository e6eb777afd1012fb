"""A desk on a real Redis, and who is at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.consultants.desk import PLAIN_RULES, Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import PlainRules
from callcenter.consultants.states import State
from callcenter.consultants.store import Consultant

FREE, TALKING, AWAY = "NOT_INUSE", "INUSE", "UNAVAILABLE"
PATIENCE = 5.0
SIGN_IN = PlainRules(sign_in_required=True, wrap_up=0.3, away_limit=0.1)
PLAIN = PlainRules()


def consultant(extension: int | str, *languages: str, **skills: int) -> Consultant:
    spoken = languages or ("kk", "ru")
    return Consultant(uuid4(), str(extension), "Aigul", spoken, "", True, skills)


@asynccontextmanager
async def desk(
    redis: Redis, name: str, *consultants: Consultant, rules: PlainRules = PLAIN_RULES
) -> AsyncIterator[Desk]:
    """A running desk of the controller of this name, which was told of these consultants."""
    opened = Desk(redis, name, rules)
    running = asyncio.create_task(opened.run())
    await opened.tell_roster(consultants)
    await opened._do("tick", name)
    try:
        yield opened
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def at_desk(
    redis: Redis, rules: PlainRules, *extensions: str
) -> AsyncIterator[tuple[Desk, DutyDesk]]:
    """A running desk with these consultants, whose telephones are registered and free."""
    crew = [consultant(extension) for extension in extensions]
    async with desk(redis, "line-1", *crew, rules=rules) as opened:
        await opened.tell_devices(dict.fromkeys(extensions, FREE), 1)
        yield opened, DutyDesk(redis, rules)


async def until_waiting(redis: Redis, callers: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await redis.zcard("desk:waiting") != callers:
            await asyncio.sleep(0.001)


async def until_state(duty: DutyDesk, extension: str, state: State) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await duty.of(extension)).state is not state:
            await asyncio.sleep(0.01)
