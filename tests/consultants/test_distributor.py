"""Distributor on a real Redis: which call is offered to whom."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from callcenter.consultants import redis_script
from callcenter.consultants.redis_script import DistributorScript
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.telephony.acd.distributor import (
    PLAIN_RULES,
    RedisCallDistributor,
    RedisQueuePlace,
)
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.telephony.acd.rules.priority import HEAD_START
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    TALKING,
    UNREGISTERED,
    consultant,
    run_all,
    running_distributor,
    until_waiting,
)
from tests.seeds import generator

HOURS = 2 * 3600.0
POPS = ("blpop", "lpop", "blmpop", "lmpop")


async def test_a_free_consultant_is_offered_at_once(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        await distributor.update_devices({"201": FREE}, 1)
        async with distributor.place("call", "kk") as place:
            offered = await place.wait_for_offer(PATIENCE)
            assert offered is not None
            assert offered.extension == "201"


async def test_many_offers_to_a_late_controller_are_taken_together(redis: Redis) -> None:
    extensions = [str(number) for number in range(201, 241)]
    crew = [consultant(each) for each in extensions]
    late = RedisCallDistributor(redis, "line-1", PLAIN_RULES)
    await late.update_roster(crew)
    await late.script("tick", "line-1")
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        waiting = []
        for each in extensions:
            place = await stack.enter_async_context(late.place(f"call-{each}", "kk"))
            waiting.append(tasks.create_task(place.wait_for_offer(PATIENCE)))
        await until_waiting(redis, len(extensions))
        await late.update_devices(dict.fromkeys(extensions, FREE), 1)
        before = await pops(redis)
        running = asyncio.create_task(late.run())
        offered = await asyncio.gather(*waiting)
        requests = await pops(redis) - before
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {each.extension for each in offered if each is not None} == set(extensions)
    assert 0 < requests < 5


async def test_a_caller_who_asks_again_is_offered_a_consultant_once(redis: Redis) -> None:
    distributor = RedisCallDistributor(redis, "line-1", PLAIN_RULES)
    await distributor.update_roster([consultant(201)])

    async def asks() -> object:
        return await distributor.script("wait", "call", "line-1", "kk", "1", "1", "kk", "")

    assert not isinstance(await asks(), str)
    await distributor.update_devices({"201": FREE}, 1)
    assert await redis.lrange("desk:offers:line-1", 0, -1) == ["call 201"]
    for _ in range(2):
        assert await asks() == "201"
        assert not await redis.exists("desk:offers:line-1")


async def test_an_offer_that_was_withdrawn_meanwhile_is_not_taken() -> None:
    answers = ["201", "202"]
    taken: list[str] = []

    async def ask(*_: str) -> str:
        if len(answers) == 2:
            place.withdraw()
        return answers.pop(0)

    def take(_: str, extension: str) -> None:
        taken.append(extension)
        place.assign_consultant(consultant(extension))

    place = RedisQueuePlace(cast("DistributorScript", ask), "call", (), take)
    assert await place.wait_for_offer(PATIENCE) is not None
    assert taken == ["202"]


async def test_what_redis_said_while_we_stood_still_is_in_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_script, "REDIS_TIMEOUT", 0.2)
    distributor = RedisCallDistributor(redis, "line-1", PLAIN_RULES)
    await distributor.script("now")
    await redis.client_pause(100)
    asking = asyncio.create_task(distributor.script("now"))
    for _ in range(10):
        await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 this is the standstill
    assert await asking


async def pops(redis: Redis) -> int:
    """How often somebody has taken from a list."""
    stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in POPS)


async def test_a_consultant_without_the_language_is_never_offered(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201, "ru")) as distributor:
        await distributor.update_devices({"201": FREE}, 1)
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(0.3) is None


async def test_unregistered_talking_or_removed_consultants_are_not_offered(
    redis: Redis,
) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202), consultant(203)
    ) as distributor:
        await distributor.update_devices({"201": UNREGISTERED, "202": TALKING, "203": FREE}, 1)
        await distributor.update_roster([consultant(201), consultant(202)])
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(0.3) is None


async def test_the_one_who_is_idle_longest_comes_first(redis: Redis) -> None:
    async with running_distributor(
        redis, "line-1", *(consultant(201 + n) for n in range(3))
    ) as distributor:
        for extension in ("202", "203", "201"):
            await distributor.update_devices({extension: FREE}, 1)
        async with AsyncExitStack() as places:
            for expected in ("202", "203", "201"):
                place = await places.enter_async_context(distributor.place(expected, "ru"))
                offered = await place.wait_for_offer(PATIENCE)
                assert offered is not None
                assert offered.extension == expected


async def test_who_fits_anybody_keeps_the_order_and_pauses(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201, "ru")) as distributor:

        async def wait(call: str, language: str, arrival: int) -> None:
            times = (f"{arrival}.000000", f"{arrival}.000000")
            await distributor.script("wait", call, "watchdog-1", language, *times, language, "")

        queues = QueueControl(redis, PLAIN_RULES)
        await queues.pause_queue("all", 60, by="user:aliya", reason="a drill")
        await wait("in-ru", "ru", 2)
        await wait("anybody", "any", 1)
        await distributor.update_devices({"201": FREE}, 1)
        assert await redis.hget("desk:held", "anybody") is None
        await queues.resume_queue("all")
        assert await redis.hget("desk:held", "anybody") == "201"
        assert await distributor.script("renew", "watchdog-1", "anybody", "in-ru") == ["in-ru"]
        await distributor.script("leave", "anybody", "talked", "1", "watchdog-1")
        assert await redis.hget("desk:held", "in-ru") == "201"
        await distributor.script("leave", "in-ru", "unused", "", "watchdog-1")
        await wait("late", "any", 3)
        assert await redis.hget("desk:held", "late") == "201"


async def test_callers_are_served_in_the_order_of_arrival(redis: Redis) -> None:
    served: list[int] = []

    async def caller(distributor: RedisCallDistributor, number: int) -> None:
        async with distributor.place(f"call-{number}", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            served.append(number)

    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        callers = []
        for number in range(6):
            callers.append(asyncio.create_task(caller(distributor, number)))
            await until_waiting(redis, number + 1)
        await distributor.update_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == sorted(served)


async def test_controllers_use_the_distributors_clock_or_their_own(
    redis: Redis,
) -> None:
    async with (
        running_distributor(redis, "line-1") as one,
        running_distributor(redis, "line-2") as other,
    ):
        times = [await each.now() for each in (one, other, one, other)]
        assert times == sorted(times)
        seconds, micros = await redis.time()
        assert times[-1] <= float(f"{seconds}.{micros:06}")
    nowhere = RedisCallDistributor(Redis(unix_socket_path="/nowhere"), "line-3", PLAIN_RULES)
    before = time.time()
    assert before <= await nowhere.now() <= time.time()


async def test_an_older_device_state_does_not_undo_a_newer(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        await distributor.update_devices({"201": TALKING}, 2)
        await distributor.update_devices({"201": FREE}, 1)
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(0.3) is None


async def test_a_set_clock_changes_no_rest_lease_or_hold(
    redis: Redis,
) -> None:
    for jump in (3600, -3600):
        async with running_distributor(redis, "line-1", consultant(201)) as distributor:
            await distributor.update_devices({"201": FREE}, time.time())
            async with distributor.place("call", "kk") as place:
                assert await place.wait_for_offer(PATIENCE)
                seconds, micros = await redis.time()
                now = seconds + micros / 1e6
                # As before, by a clock that differed by so much; no heartbeat sees half of it.
                async with redis.pipeline(transaction=True) as together:
                    for key in ("leases", "controllers", "asked"):
                        entries: Any = await redis.zrange(f"desk:{key}", 0, -1, withscores=True)
                        for member, until in entries:
                            together.zadd(f"desk:{key}", {member: until - jump})
                    together.hset("desk:holds", "kk", f"{now - jump + 60} test -")
                    together.set("desk:clock", f"{now - jump:.6f}")
                    await together.execute()
                await distributor.script("stage", "call", "ringing")
                (ends,) = await redis.zmscore("desk:leases", ["201"])
                assert ends is not None
                assert 3 < ends - now < 7
                held_until = float(str(await redis.hget("desk:holds", "kk")).split()[0])
                assert 58 < held_until - now < 63
            await distributor.update_devices({"201": TALKING}, time.time() + jump)
            await distributor.update_devices({"201": UNREGISTERED}, time.time() - HOURS)
        assert str(await redis.hget("desk:devices", "201")).endswith(UNREGISTERED)
        await redis.flushdb()


async def test_an_unanswered_consultant_rests_and_the_next_is_offered(redis: Redis) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await distributor.update_devices({"201": FREE, "202": FREE}, 1)
        async with distributor.place("call", "kk") as place:
            first = await place.wait_for_offer(PATIENCE)
            await place.release(unanswered=True)
            second = await place.wait_for_offer(PATIENCE)
            assert first is not None
            assert second is not None
            assert {first.extension, second.extension} == {"201", "202"}
            await place.release(unanswered=True)
            assert await place.wait_for_offer(0.5) is None


async def test_a_leaving_caller_leaves_no_place_or_lease(
    redis: Redis,
) -> None:
    rng = generator("a caller leaves")
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        await distributor.update_devices({"201": FREE}, 1)

        async def caller(number: int) -> None:
            async with distributor.place(f"call-{number}", "kk") as place:
                await place.wait_for_offer(PATIENCE)

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

    async def caller(distributor: RedisCallDistributor, number: int) -> None:
        nonlocal served
        await asyncio.sleep(rng.uniform(0, 0.5))
        language = rng.choice(("kk", "ru"))
        async with distributor.place(f"call-{number}", language) as place:
            offered = await place.wait_for_offer(60)
            assert offered is not None
            assert language in offered.languages
            talking[offered.extension] += 1
            assert talking[offered.extension] == 1
            await asyncio.sleep(rng.uniform(0, 0.02))
            talking[offered.extension] -= 1
            served += 1

    async with (
        running_distributor(redis, "line-1", *crew) as one,
        running_distributor(redis, "line-2", *crew) as two,
    ):
        await one.update_devices({member.extension: FREE for member in crew}, 1)
        await run_all(caller((one, two)[n % 2], n) for n in range(200))
    assert served == 200


async def test_a_dead_controllers_leases_end_and_callers_are_forgotten(
    redis: Redis,
) -> None:
    async with running_distributor(redis, "line-2", consultant(201)) as living:
        await living.update_devices({"201": FREE}, 1)
        # Nobody hears the offers of line-1, nor renews its leases.
        await living.script("wait", "held", "line-1", "kk", "0", "0", "kk", "")
        await living.script("wait", "waiting", "line-1", "kk", "1", "1", "@202", "")
        assert await redis.hgetall("desk:held") == {"held": "201"}
        async with living.place("call", "kk") as place:
            assert await place.wait_for_offer(10) is not None
        await until_waiting(redis, 0)


async def test_a_redis_that_lost_everything_is_filled_again(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:

        async def tell() -> None:
            await distributor.update_roster([consultant(201)])
            await distributor.update_devices({"201": FREE}, 1)

        telling = BackgroundTasks()
        distributor.on_empty(lambda: telling.spawn(tell()))
        async with distributor.place("call", "kk") as place:
            waiting = asyncio.create_task(place.wait_for_offer(10))
            await asyncio.sleep(0.05)
            await redis.flushall()
            assert await waiting is not None


async def test_talks_during_a_redis_loss_are_leased_again(
    redis: Redis,
) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:

        async def tell() -> None:
            await distributor.update_roster([consultant(201)])
            await distributor.update_devices({"201": TALKING}, time.time())

        telling = BackgroundTasks()
        distributor.on_empty(lambda: telling.spawn(tell()))
        await distributor.update_devices({"201": FREE}, 1)
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            place.mark_answered()
            await redis.flushall()
            async with asyncio.timeout(PATIENCE):
                while await redis.hget("desk:holders", "201") != "call line-1":
                    await asyncio.sleep(0.01)
            assert await redis.zscore("desk:idle", "201") is None
            assert str(await redis.hget("desk:states", "201")).startswith("talking ")
        assert not await redis.exists("desk:held", "desk:holders", "desk:leases")


async def test_conversations_are_adopted_from_the_dead_alone(
    redis: Redis,
) -> None:
    """The successor died before it registered: the lease still names the first controller."""
    crew = consultant(201)
    async with running_distributor(redis, "line-3", crew) as distributor:
        await distributor.update_devices({"201": FREE}, 1)
        await distributor.script("wait", "call", "line-1", "kk", "0", "0", "kk", "")
        # It lives: a heartbeat of the other takes over what a dead one holds.
        await redis.zadd("desk:controllers", {"line-1": time.time() + 60})
        async with distributor.adopt(crew, ["line-1", "line-3"], "call"):
            assert await redis.hget("desk:holders", "201") == "call line-1"
        assert await redis.hget("desk:held", "call") == "201", "another's is not given back"
        async with distributor.adopt(crew, ["line-3"], "another"):
            assert await redis.hget("desk:holders", "201") == "call line-3"
        assert not await redis.exists("desk:held", "desk:holders", "desk:leases")


async def test_the_successor_keeps_a_consultant_for_its_other_call(redis: Redis) -> None:
    """The consultant has left the caller of the dead, and was offered to another meanwhile."""
    crew = consultant(201)
    async with running_distributor(redis, "line-3", crew) as distributor:
        await distributor.update_devices({"201": FREE}, 1)
        async with distributor.place("other", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            async with distributor.adopt(crew, ["line-3"], "call") as former:
                assert former.call_id == "call"
            assert await redis.hget("desk:holders", "201") == "other line-3"
            assert distributor.calls == {"other"}
        assert not await redis.exists("desk:held", "desk:holders", "desk:leases")


async def test_urgent_callers_come_first_and_returned_ones_keep_places(
    redis: Redis,
) -> None:
    served: list[str] = []
    now = time.time()

    async def caller(
        distributor: RedisCallDistributor, name: str, arrived: float, urgent: bool
    ) -> None:
        async with distributor.place(name, "kk", arrived=arrived, urgent=urgent) as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            served.append(name)

    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        callers = [
            asyncio.create_task(caller(distributor, *who))
            for who in (
                ("ordinary", now, False),
                ("urgent", now, True),
                ("back", now - 60, False),
                ("ages", now - HEAD_START - 60, False),
            )
        ]
        await until_waiting(redis, len(callers))
        await distributor.update_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == ["ages", "urgent", "back", "ordinary"]


async def test_a_skill_is_a_minimum_and_the_longest_idle_wins(
    redis: Redis,
) -> None:
    crew = (
        consultant(201),
        consultant(202, lawyer=1),
        consultant(203, "ru", lawyer=5),
        consultant(204, lawyer=4, children=2),
        consultant(205, lawyer=3),
    )
    async with (
        running_distributor(redis, "line-1", *crew) as distributor,
        AsyncExitStack() as places,
    ):
        for number in range(5):
            await distributor.update_devices({str(201 + number): FREE}, 1)
        for expected in ("204", "205", None):
            place = await places.enter_async_context(
                distributor.place(
                    f"call-{expected}", "kk", target=TransferTarget(skill="lawyer", level=3)
                )
            )
            offered = await place.wait_for_offer(0.2)
            assert (offered.extension if offered else None) == expected


async def test_a_free_consultant_takes_the_first_fitting_caller(redis: Redis) -> None:
    now = time.time()
    served: list[str] = []

    async def caller(
        distributor: RedisCallDistributor, name: str, arrived: float, skill: str | None
    ) -> None:
        async with distributor.place(
            name, "kk", arrived=arrived, target=TransferTarget(skill=skill, level=2)
        ) as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            served.append(name)

    async with running_distributor(redis, "line-1", consultant(201, lawyer=2)) as distributor:
        callers = [
            asyncio.create_task(caller(distributor, *who))
            for who in (
                ("third", now - 1, "lawyer"),
                ("first", now - 3, "lawyer"),
                ("second", now - 2, None),
            )
        ]
        await until_waiting(redis, len(callers))
        await distributor.update_devices({"201": FREE}, 1)
        await asyncio.gather(*callers)
    assert served == ["first", "second", "third"]


async def test_a_preferred_consultant_is_taken_only_if_free(
    redis: Redis,
) -> None:
    async with (
        running_distributor(
            redis, "line-1", consultant(201), consultant(202), consultant(203, "ru")
        ) as distributor,
        AsyncExitStack() as places,
    ):
        for extension in ("201", "202", "203"):
            await distributor.update_devices({extension: FREE}, 1)
        for preferred, expected in (("202", "202"), ("203", "201")):
            place = await places.enter_async_context(
                distributor.place(f"call-{preferred}", "kk", preferred=preferred)
            )
            offered = await place.wait_for_offer(PATIENCE)
            assert offered is not None
            assert offered.extension == expected


@pytest.mark.parametrize("preferred", ["201", None])
async def test_who_did_not_answer_is_offered_last(redis: Redis, preferred: str | None) -> None:
    """Whoever is in danger does not wait for the same one in vain while another is idle."""
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await distributor.update_devices({"201": FREE, "202": TALKING}, 1)
        async with distributor.place("call", "kk", urgent=True, preferred=preferred) as place:
            offered = await place.wait_for_offer(PATIENCE)
            assert offered is not None
            await place.release(unanswered=True)
            async with asyncio.timeout(PATIENCE + 5):  # the rest of 201 ends meanwhile
                while not await redis.zscore("desk:idle", "201"):
                    await asyncio.sleep(0.01)
            await distributor.update_devices({"202": FREE}, 2)  # idle for a shorter time
            offered = await place.wait_for_offer(PATIENCE)
            assert offered is not None
            assert offered.extension == "202"


async def test_who_did_not_answer_is_offered_again_alone(redis: Redis) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await distributor.update_devices({"201": FREE, "202": TALKING}, 1)
        async with distributor.place("call", "kk", urgent=True) as place:
            for _ in range(2):
                offered = await place.wait_for_offer(PATIENCE + 5)
                assert offered is not None
                assert offered.extension == "201"
                await place.release(unanswered=True)


async def test_one_consultant_is_waited_for_whatever_others_are_free(redis: Redis) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await distributor.update_devices({"201": FREE, "202": TALKING}, 1)
        async with distributor.place("call", "kk", target=TransferTarget("202")) as place:
            assert await place.wait_for_offer(0.3) is None
            await distributor.update_devices({"202": FREE}, 2)
            offered = await place.wait_for_offer(PATIENCE)
            assert offered is not None
            assert offered.extension == "202"


async def test_changed_skills_count_at_once_and_idle_time_stays(redis: Redis) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202, lawyer=1)
    ) as distributor:
        for extension in ("201", "202"):
            await distributor.update_devices({extension: FREE}, 1)
        since = await redis.zscore("desk:idle", "201")
        async with distributor.place(
            "call", "kk", target=TransferTarget(skill="lawyer", level=2)
        ) as place:
            assert await place.wait_for_offer(0.2) is None
            waiting = asyncio.create_task(place.wait_for_offer(PATIENCE))
            await until_waiting(redis, 1)
            await distributor.update_roster([consultant(201), consultant(202, lawyer=2)])
            offered = await waiting
            assert offered is not None
            assert offered.extension == "202"
        assert await redis.zscore("desk:idle", "201") == since
