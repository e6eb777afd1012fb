"""Presence of consultants whose workspace page is closed."""

import asyncio

from redis.asyncio import Redis

from callcenter.consultants.redis_script import PlainRules
from callcenter.consultants.rules.states import PAGE_GONE, PresenceState
from tests.consultants.distributors import PATIENCE, distributor_and_presence, until_state


async def test_a_page_worker_is_paused_once_the_page_is_gone(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=0.6)
    await redis.set("desk:web", "lives")
    async with distributor_and_presence(redis, rules, "201", "202", "203") as (
        distributor,
        presence,
    ):
        for extension, page in (("201", True), ("202", True), ("203", False)):
            await presence.ask(extension, PresenceState.READY, by="self", page=page)
        async with asyncio.timeout(PATIENCE):
            while (await presence.of("202")).state is PresenceState.READY:
                await presence.report_page_open("201")
                await presence.report_page_open(
                    "203"
                )  # a page that is open beside a telephone that signed in
                await asyncio.sleep(0.02)
        gone = await presence.of("202")
        assert (gone.state, gone.reason, gone.by) == (PresenceState.PAUSED, PAGE_GONE, "desk")
        assert [(await presence.of(each)).state for each in ("201", "203")] == [
            PresenceState.READY
        ] * 2
        await until_state(presence, "201", PresenceState.PAUSED)
        await distributor.script("tick", "line-1")
        assert (await presence.of("203")).state is PresenceState.READY


async def test_nobody_is_paused_because_our_pages_are_unavailable(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=60)
    async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self", page=True)
        await redis.zadd("desk:pages", {"201": 1.0})
        await distributor.script("tick", "line-1")
        serving = asyncio.create_task(presence.report_pages_served())
        async with asyncio.timeout(PATIENCE):
            while not await redis.exists("desk:web"):
                await asyncio.sleep(0.01)
        await distributor.script("tick", "line-1")
        assert (await presence.of("201")).state is PresenceState.READY
        await redis.zadd("desk:pages", {"201": 1.0})
        await until_state(presence, "201", PresenceState.PAUSED)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_page_gone_in_a_conversation_pauses_after_it(redis: Redis) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=60, page_limit=0.1)
    await redis.set("desk:web", "lives")
    async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self", page=True)
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            place.mark_answered()
            await until_state(presence, "201", PresenceState.TALKING)
            async with asyncio.timeout(PATIENCE):
                while (await presence.of("201")).after is None:
                    await asyncio.sleep(0.01)
            assert (await presence.of("201")).state is PresenceState.TALKING
        paused = await presence.of("201")
        assert (paused.state, paused.reason) == (PresenceState.PAUSED, PAGE_GONE)
