"""Consultants who work by a page, and what they are doing when it is gone."""

import asyncio

from redis.asyncio import Redis

from callcenter.consultants.script import PlainRules
from callcenter.consultants.states import PAGE_GONE, State
from tests.consultants.desks import PATIENCE, at_desk, until_state


async def test_who_works_by_a_page_is_paused_when_it_is_gone_and_not_while_it_is_open(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=0.6)
    await redis.set("desk:web", "lives")
    async with at_desk(redis, rules, "201", "202", "203") as (desk, duty):
        for extension, page in (("201", True), ("202", True), ("203", False)):
            await duty.ask(extension, State.READY, by="self", page=page)
        async with asyncio.timeout(PATIENCE):
            while (await duty.of("202")).state is State.READY:
                await duty.seen("201")
                await duty.seen("203")  # a page that is open beside a telephone that signed in
                await asyncio.sleep(0.02)
        gone = await duty.of("202")
        assert (gone.state, gone.reason, gone.by) == (State.PAUSED, PAGE_GONE, "desk")
        assert [(await duty.of(each)).state for each in ("201", "203")] == [State.READY] * 2
        await until_state(duty, "201", State.PAUSED)
        await desk._do("tick", "line-1")
        assert (await duty.of("203")).state is State.READY


async def test_nobody_is_paused_because_our_pages_are_away_and_time_begins_anew_with_them(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=60)
    async with at_desk(redis, rules, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self", page=True)
        await redis.zadd("desk:pages", {"201": 1.0})
        await desk._do("tick", "line-1")
        serving = asyncio.create_task(duty.pages_served())
        async with asyncio.timeout(PATIENCE):
            while not await redis.exists("desk:web"):
                await asyncio.sleep(0.01)
        await desk._do("tick", "line-1")
        assert (await duty.of("201")).state is State.READY
        await redis.zadd("desk:pages", {"201": 1.0})
        await until_state(duty, "201", State.PAUSED)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_page_that_is_gone_in_a_conversation_pauses_after_it(redis: Redis) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=60, page_limit=0.1)
    await redis.set("desk:web", "lives")
    async with at_desk(redis, rules, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self", page=True)
        async with desk.place("call", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            place.answered()
            await until_state(duty, "201", State.TALKING)
            async with asyncio.timeout(PATIENCE):
                while (await duty.of("201")).after is None:
                    await asyncio.sleep(0.01)
            assert (await duty.of("201")).state is State.TALKING
        paused = await duty.of("201")
        assert (paused.state, paused.reason) == (State.PAUSED, PAGE_GONE)
