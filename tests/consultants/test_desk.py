"""The desk on a real Redis: who is offered whom."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from redis.asyncio import Redis

from callcenter.consultants.desk import PLAIN_RULES, Desk
from callcenter.consultants.order import HEAD_START
from tests.consultants.desks import (
    AWAY,
    FREE,
    PATIENCE,
    TALKING,
    consultant,
    desk,
    until_waiting,
)
from tests.seeds import generator

HOURS = 2 * 3600.0


async def test_a_free_consultant_is_offered_at_once(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened:
        await opened.tell_devices({"201": FREE}, 1)
        async with opened.place("call", "kk") as place:
            offered = await place.offer(PATIENCE)
            assert offered is not None
            assert offered.extension == "201"


async def test_a_consultant_who_does_not_speak_the_language_is_never_offered(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201, "ru")) as opened:
        await opened.tell_devices({"201": FREE}, 1)
        async with opened.place("call", "kk") as place:
            assert await place.offer(0.3) is None


async def test_whoever_is_not_registered_talks_or_left_the_roster_is_not_offered(
    redis: Redis,
) -> None:
    async with desk(redis, "line-1", consultant(201), consultant(202), consultant(203)) as opened:
        await opened.tell_devices({"201": AWAY, "202": TALKING, "203": FREE}, 1)
        await opened.tell_roster([consultant(201), consultant(202)])
        async with opened.place("call", "kk") as place:
            assert await place.offer(0.3) is None


async def test_the_one_who_is_idle_longest_comes_first(redis: Redis) -> None:
    async with desk(redis, "line-1", *(consultant(201 + n) for n in range(3))) as opened:
        for extension in ("202", "203", "201"):
            await opened.tell_devices({extension: FREE}, 1)
        async with AsyncExitStack() as places:
            for expected in ("202", "203", "201"):
                place = await places.enter_async_context(opened.place(expected, "ru"))
                offered = await place.offer(PATIENCE)
                assert offered is not None
                assert offered.extension == expected


async def test_callers_are_served_in_the_order_of_arrival(redis: Redis) -> None:
    served: list[int] = []

    async def caller(opened: Desk, number: int) -> None:
        async with opened.place(f"call-{number}", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            served.append(number)

    async with desk(redis, "line-1", consultant(201)) as opened:
        callers = []
        for number in range(6):
            callers.append(asyncio.create_task(caller(opened, number)))
            await until_waiting(redis, number + 1)
        await opened.tell_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == sorted(served)


async def test_all_controllers_have_the_time_of_the_desk_and_their_own_without_it(
    redis: Redis,
) -> None:
    async with desk(redis, "line-1") as one, desk(redis, "line-2") as other:
        told = [await each.now() for each in (one, other, one, other)]
        assert told == sorted(told)
        seconds, micros = await redis.time()
        assert told[-1] <= float(f"{seconds}.{micros:06}")
    nowhere = Desk(Redis(unix_socket_path="/nowhere"), "line-3", PLAIN_RULES)
    before = time.time()
    assert before <= await nowhere.now() <= time.time()


async def test_an_older_word_about_a_telephone_does_not_undo_a_newer_one(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened:
        await opened.tell_devices({"201": TALKING}, 2)
        await opened.tell_devices({"201": FREE}, 1)
        async with opened.place("call", "kk") as place:
            assert await place.offer(0.3) is None


async def test_when_the_clock_is_set_no_rest_no_lease_and_no_hold_lasts_longer_or_shorter_for_it(
    redis: Redis,
) -> None:
    for jump in (3600, -3600):
        async with desk(redis, "line-1", consultant(201)) as opened:
            await opened.tell_devices({"201": FREE}, time.time())
            async with opened.place("call", "kk") as place:
                assert await place.offer(PATIENCE)
                seconds, _ = await redis.time()
                # As it was before, by a clock that differed by so much.
                for key in ("leases", "controllers", "asked"):
                    known: Any = await redis.zrange(f"desk:{key}", 0, -1, withscores=True)
                    for member, until in known:
                        await redis.zadd(f"desk:{key}", {member: until - jump})
                await redis.hset("desk:holds", "kk", f"{seconds - jump + 60} test -")
                await redis.set("desk:clock", f"{seconds - jump:.6f}")
                await opened._do("stage", "call", "ringing")
                (ends,) = await redis.zmscore("desk:leases", ["201"])
                assert ends is not None
                assert 3 < ends - seconds < 7
                held_until = float(str(await redis.hget("desk:holds", "kk")).split()[0])
                assert 58 < held_until - seconds < 63
            await opened.tell_devices({"201": TALKING}, time.time() + jump)
            await opened.tell_devices({"201": AWAY}, time.time() - HOURS)
        assert str(await redis.hget("desk:devices", "201")).endswith(AWAY)
        await redis.flushdb()


async def test_one_who_did_not_answer_rests_and_the_next_is_offered(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201), consultant(202)) as opened:
        await opened.tell_devices({"201": FREE, "202": FREE}, 1)
        async with opened.place("call", "kk") as place:
            first = await place.offer(PATIENCE)
            await place.give_back(unanswered=True)
            second = await place.offer(PATIENCE)
            assert first is not None
            assert second is not None
            assert {first.extension, second.extension} == {"201", "202"}
            await place.give_back(unanswered=True)
            assert await place.offer(0.5) is None


async def test_no_place_and_no_lease_is_left_when_a_caller_leaves_at_any_moment(
    redis: Redis,
) -> None:
    rng = generator("a caller leaves")
    async with desk(redis, "line-1", consultant(201)) as opened:
        await opened.tell_devices({"201": FREE}, 1)

        async def caller(number: int) -> None:
            async with opened.place(f"call-{number}", "kk") as place:
                await place.offer(PATIENCE)

        for number in range(60):
            task = asyncio.create_task(caller(number))
            await asyncio.sleep(rng.uniform(0, 0.003))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for key in ("desk:waiting", "desk:calls", "desk:held", "desk:leases"):
            assert not await redis.exists(key), key
        assert await redis.zrange("desk:idle", 0, -1) == ["201"]


async def test_two_hundred_callers_and_fifty_consultants_never_share_one(redis: Redis) -> None:
    rng = generator("two hundred callers")
    crew = [consultant(200 + n, *rng.choice((("kk",), ("ru",), ("kk", "ru")))) for n in range(50)]
    talking: Counter[str] = Counter()
    served = 0

    async def caller(opened: Desk, number: int) -> None:
        nonlocal served
        await asyncio.sleep(rng.uniform(0, 0.5))
        language = rng.choice(("kk", "ru"))
        async with opened.place(f"call-{number}", language) as place:
            offered = await place.offer(60)
            assert offered is not None
            assert language in offered.languages
            talking[offered.extension] += 1
            assert talking[offered.extension] == 1
            await asyncio.sleep(rng.uniform(0, 0.02))
            talking[offered.extension] -= 1
            served += 1

    async with desk(redis, "line-1", *crew) as one, desk(redis, "line-2", *crew) as two:
        await one.tell_devices({member.extension: FREE for member in crew}, 1)
        await asyncio.gather(*(caller((one, two)[n % 2], n) for n in range(200)))
    assert served == 200


async def test_what_a_dead_controller_held_is_free_again_and_its_callers_are_forgotten(
    redis: Redis,
) -> None:
    async with desk(redis, "line-2", consultant(201)) as living:
        await living.tell_devices({"201": FREE}, 1)
        # Nobody hears the offers of line-1, nor renews its leases.
        await living._do("wait", "held", "line-1", "kk", "0", "0", "kk", "")
        await living._do("wait", "waiting", "line-1", "kk", "1", "1", "kk", "")
        assert await redis.hgetall("desk:held") == {"held": "201"}
        async with living.place("call", "kk") as place:
            assert await place.offer(10) is not None
        assert not await redis.zcard("desk:waiting")


async def test_a_redis_that_lost_everything_is_told_again(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened:

        async def tell() -> None:
            await opened.tell_roster([consultant(201)])
            await opened.tell_devices({"201": FREE}, 1)

        opened.on_empty = tell
        async with opened.place("call", "kk") as place:
            waiting = asyncio.create_task(place.offer(10))
            await asyncio.sleep(0.05)
            await redis.flushall()
            assert await waiting is not None


async def test_who_talks_while_redis_loses_everything_is_held_again_and_offered_to_nobody(
    redis: Redis,
) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened:

        async def tell() -> None:
            await opened.tell_roster([consultant(201)])
            await opened.tell_devices({"201": TALKING}, time.time())

        opened.on_empty = tell
        await opened.tell_devices({"201": FREE}, 1)
        async with opened.place("call", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            place.answered()
            await redis.flushall()
            async with asyncio.timeout(PATIENCE):
                while await redis.hget("desk:holders", "201") != "call line-1":
                    await asyncio.sleep(0.01)
            assert await redis.zscore("desk:idle", "201") is None
            assert str(await redis.hget("desk:states", "201")).startswith("talking ")
        assert not await redis.exists("desk:held", "desk:holders", "desk:leases")


async def test_a_conversation_is_adopted_from_whoever_died_and_from_nobody_who_lives(
    redis: Redis,
) -> None:
    """As when who took over died before it said so here: the lease is still the first one's."""
    crew = consultant(201)
    async with desk(redis, "line-3", crew) as opened:
        await opened.tell_devices({"201": FREE}, 1)
        await opened._do("wait", "call", "line-1", "kk", "0", "0", "kk", "")
        async with opened.adopted(crew, ["line-1", "line-3"], "call"):
            assert await redis.hget("desk:holders", "201") == "call line-1"
        assert await redis.hget("desk:held", "call") == "201", "another's is not given back"
        async with opened.adopted(crew, ["line-3"], "another"):
            assert await redis.hget("desk:holders", "201") == "call line-3"
        assert not await redis.exists("desk:held", "desk:holders", "desk:leases")


async def test_urgent_callers_come_first_and_whoever_comes_back_keeps_the_place(
    redis: Redis,
) -> None:
    served: list[str] = []
    now = time.time()

    async def caller(opened: Desk, name: str, arrived: float, urgent: bool) -> None:
        async with opened.place(name, "kk", arrived=arrived, urgent=urgent) as place:
            assert await place.offer(PATIENCE) is not None
            served.append(name)

    async with desk(redis, "line-1", consultant(201)) as opened:
        callers = [
            asyncio.create_task(caller(opened, *who))
            for who in (
                ("ordinary", now, False),
                ("urgent", now, True),
                ("back", now - 60, False),
                ("ages", now - HEAD_START - 60, False),
            )
        ]
        await until_waiting(redis, len(callers))
        await opened.tell_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == ["ages", "urgent", "back", "ordinary"]


async def test_a_wanted_skill_is_had_at_the_level_or_higher_whoever_is_idle_longest(
    redis: Redis,
) -> None:
    crew = (
        consultant(201),
        consultant(202, lawyer=1),
        consultant(203, "ru", lawyer=5),
        consultant(204, lawyer=4, children=2),
        consultant(205, lawyer=3),
    )
    async with desk(redis, "line-1", *crew) as opened, AsyncExitStack() as places:
        for number in range(5):
            await opened.tell_devices({str(201 + number): FREE}, 1)
        for expected in ("204", "205", None):
            place = await places.enter_async_context(
                opened.place(f"call-{expected}", "kk", skill="lawyer", level=3)
            )
            offered = await place.offer(0.2)
            assert (offered.extension if offered else None) == expected


async def test_whoever_becomes_free_takes_the_first_of_all_whom_they_fit(redis: Redis) -> None:
    now = time.time()
    served: list[str] = []

    async def caller(opened: Desk, name: str, arrived: float, skill: str | None) -> None:
        async with opened.place(name, "kk", arrived=arrived, skill=skill, level=2) as place:
            assert await place.offer(PATIENCE) is not None
            served.append(name)

    async with desk(redis, "line-1", consultant(201, lawyer=2)) as opened:
        callers = [
            asyncio.create_task(caller(opened, *who))
            for who in (
                ("third", now - 1, "lawyer"),
                ("first", now - 3, "lawyer"),
                ("second", now - 2, None),
            )
        ]
        await until_waiting(redis, len(callers))
        await opened.tell_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == ["first", "second", "third"]


async def test_the_preferred_consultant_is_taken_if_free_and_fitting_and_else_anybody_at_once(
    redis: Redis,
) -> None:
    async with (
        desk(redis, "line-1", consultant(201), consultant(202), consultant(203, "ru")) as opened,
        AsyncExitStack() as places,
    ):
        for extension in ("201", "202", "203"):
            await opened.tell_devices({extension: FREE}, 1)
        for preferred, expected in (("202", "202"), ("203", "201")):
            place = await places.enter_async_context(
                opened.place(f"call-{preferred}", "kk", preferred=preferred)
            )
            offered = await place.offer(PATIENCE)
            assert offered is not None
            assert offered.extension == expected


async def test_one_consultant_is_waited_for_whatever_others_are_free(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201), consultant(202)) as opened:
        await opened.tell_devices({"201": FREE, "202": TALKING}, 1)
        async with opened.place("call", "kk", consultant="202") as place:
            assert await place.offer(0.3) is None
            await opened.tell_devices({"202": FREE}, 2)
            offered = await place.offer(PATIENCE)
            assert offered is not None
            assert offered.extension == "202"


async def test_skills_that_change_count_at_once_and_the_time_idle_stays(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201), consultant(202, lawyer=1)) as opened:
        for extension in ("201", "202"):
            await opened.tell_devices({extension: FREE}, 1)
        since = await redis.zscore("desk:idle", "201")
        async with opened.place("call", "kk", skill="lawyer", level=2) as place:
            assert await place.offer(0.2) is None
            waiting = asyncio.create_task(place.offer(PATIENCE))
            await until_waiting(redis, 1)
            await opened.tell_roster([consultant(201), consultant(202, lawyer=2)])
            offered = await waiting
            assert offered is not None
            assert offered.extension == "202"
        assert await redis.zscore("desk:idle", "201") == since
