"""The desk on a real Redis: messages that callers left are for consultants who are idle."""

import time
from contextlib import AsyncExitStack

from redis.asyncio import Redis

from callcenter.consultants.desk import Place
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import PlainRules
from callcenter.consultants.states import State
from tests.consultants.desks import FREE, PATIENCE, consultant, desk


async def test_a_message_is_offered_only_while_no_caller_waits_whom_the_consultant_may_serve(
    redis: Redis,
) -> None:
    now = time.time()
    async with desk(redis, "line-1", consultant(201, "kk")) as opened, AsyncExitStack() as places:

        async def waiting(
            name: str, language: str, arrived: float, *, behind: bool = False
        ) -> Place:
            place = await places.enter_async_context(
                opened.place(name, language, arrived=arrived, behind=behind)
            )
            assert await place.offer(0.05) is None
            return place

        message = await waiting("message-1", "kk", now - 3600, behind=True)
        older = await waiting("message-2", "kk", now - 7200, behind=True)
        await waiting("another", "ru", now)
        caller = await waiting("caller", "kk", now)
        await opened.tell_devices({"201": FREE}, 1)
        for each in (caller, older, message):
            assert await each.offer(PATIENCE) is not None
            await each.leave()


async def test_a_consultant_who_hears_a_message_wraps_up_and_foretells_no_wait(
    redis: Redis,
) -> None:
    rules = PlainRules(wrap_up=60)
    async with desk(redis, "line-1", consultant(201), rules=rules) as opened:
        await opened.tell_devices({"201": FREE}, 1)
        async with opened.place("message-1", "kk", behind=True) as place:
            assert await place.offer(PATIENCE) is not None
            place.rings()
            place.answered(alone=True)
        assert (await DutyDesk(redis, rules).of("201")).state is State.WRAP_UP
        assert not await redis.exists("desk:handling")
