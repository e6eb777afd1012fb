"""Presence stays correct whatever dies, is lost, or happens at random."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import PlainRules
from callcenter.consultants.rules.states import ENGAGED, IllegalPresenceChange, PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    PLAIN,
    SIGN_IN,
    TALKING,
    consultant,
    distributor_and_presence,
    run_all,
    running_distributor,
)
from tests.consultants.machine import EVENTS, Machine
from tests.seeds import generator

pytestmark = pytest.mark.slow


async def test_a_dead_controller_leaves_nobody_ringing_and_a_conversation_talking(
    redis: Redis,
) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201", "202") as (living, presence):
        for extension in ("201", "202"):
            await presence.ask(extension, PresenceState.READY, by="self")
        dying = RedisCallDistributor(redis, "line-2", SIGN_IN)
        await dying.script("tick", "line-2")
        for call in ("one", "two"):
            await dying.script("wait", call, "line-2", "kk", "1", "1", "kk", "")
            await dying.script("stage", call, "ringing")
        talks = str(await redis.hget("desk:held", "two"))
        await dying.script("stage", "two", "talking")
        await living.update_devices({talks: TALKING}, 2)
        rang = "201" if talks == "202" else "202"
        async with asyncio.timeout(10):
            while await redis.exists("desk:held"):
                await asyncio.sleep(0.05)
        assert (await presence.of(rang)).state is PresenceState.READY
        assert (await presence.of(talks)).state is PresenceState.TALKING
        await living.update_devices({talks: FREE}, 3)
        assert (await presence.of(talks)).state is PresenceState.WRAP_UP


async def test_who_signed_out_before_a_lease_came_back_stays_out(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (living, presence):
        await presence.ask("201", PresenceState.SIGNED_OUT, by="self")
        await living.script("hold_again", "one", "line-1", "201")
        await living.script("leave", "one", "talked", "30", "line-1")
        assert (await presence.of("201")).state is PresenceState.SIGNED_OUT
        assert not await redis.exists("desk:held")


async def test_a_redis_that_lost_everything_gets_the_last_states_back(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201", "202") as (distributor, presence):
        saved: dict[str, PresenceChange] = {}

        async def keep(changes: Sequence[PresenceChange]) -> None:
            saved.update({change.extension: change for change in changes})

        keeping = asyncio.create_task(presence.drain_changes(keep))
        for extension in ("201", "202"):
            await presence.ask(extension, PresenceState.READY, by="self")
        await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        await until_empty(redis)
        await redis.flushdb()
        await distributor.update_roster([consultant("201"), consultant("202")], saved)
        lunch = await presence.of("201")
        assert (lunch.state, lunch.reason) == (PresenceState.PAUSED, "lunch")
        assert lunch.since == pytest.approx(saved["201"].at.timestamp(), abs=1e-5)
        assert (await presence.of("202")).state is PresenceState.READY
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def until_empty(redis: Redis) -> None:
    async with asyncio.timeout(PATIENCE):
        while await redis.xlen("desk:changes"):
            await asyncio.sleep(0.01)


async def test_an_old_snapshot_keeps_nobody_offered_who_left_the_roster(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201", "202") as (living, _):
        await redis.hset("desk:states", "202", "offered 1.000000 - desk")
        await redis.set("desk:run", "of the server before")
        await living.update_roster([consultant("201")])
        assert str(await redis.hget("desk:states", "202")).startswith("signed_out ")


async def test_a_change_leaves_redis_only_when_it_was_stored(redis: Redis) -> None:
    async with distributor_and_presence(redis, PLAIN, "201") as (_, presence):
        tries: list[Sequence[PresenceChange]] = []

        async def keep(changes: Sequence[PresenceChange]) -> None:
            tries.append(changes)
            if len(tries) == 1:
                raise OperationFailed("the database is away")

        keeping = asyncio.create_task(presence.drain_changes(keep))
        await until_empty(redis)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert tries[0] == tries[1]
        assert [change.state for change in tries[1]] == [PresenceState.READY]


@pytest.mark.parametrize("sign_in", [False, True])
def test_no_sequence_of_events_makes_a_ghost(redis_url: str, sign_in: bool) -> None:
    url = f"{redis_url}?db=3"
    with (
        BlockingRedis.from_url(url, decode_responses=True) as redis,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        client = Redis.from_url(url, decode_responses=True)

        @settings(max_examples=150, deadline=None)
        @given(st.lists(EVENTS, min_size=5, max_size=60), st.sampled_from((0.0, 30.0)))
        def play(events: list[Callable[[Machine], None]], wrap_up: float) -> None:
            rules = PlainRules(sign_in_required=sign_in, wrap_up=wrap_up)
            machine = Machine(redis, client, runner, rules)
            for event in events:
                event(machine)
                machine.check()
            machine.everybody_can_work_again()

        play()
        runner.run(client.aclose())


async def test_two_hundred_callers_and_fifty_consultants_at_random(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=0.01)
    extensions = [str(200 + number) for number in range(50)]
    rng = generator("two hundred callers")
    talking: set[str] = set()
    served = 0

    async def caller(distributor: RedisCallDistributor, number: int) -> None:
        nonlocal served
        await asyncio.sleep(rng.uniform(0, 0.5))
        async with distributor.place(f"call-{number}", rng.choice(("kk", "ru"))) as place:
            while True:
                offered = await place.wait_for_offer(60)
                assert offered is not None
                place.mark_ringing()
                await asyncio.sleep(rng.uniform(0, 0.02))
                if place.consultant is None:  # the consultant left meanwhile
                    await place.release(unanswered=True)
                    continue
                assert offered.extension not in talking
                talking.add(offered.extension)
                place.mark_answered()
                await asyncio.sleep(rng.uniform(0, 0.02))
                talking.remove(offered.extension)
                served += 1
                return

    async def restless(presence: PresenceService) -> None:
        while True:
            target = rng.choice(
                (
                    PresenceState.READY,
                    PresenceState.READY,
                    PresenceState.PAUSED,
                    PresenceState.SIGNED_OUT,
                )
            )
            try:
                await presence.ask(rng.choice(extensions), target, by="self", reason="lunch")
            except IllegalPresenceChange:
                continue
            await asyncio.sleep(0.001)

    async with (
        distributor_and_presence(redis, rules, *extensions) as (one, presence),
        running_distributor(redis, "line-2", *map(consultant, extensions), rules=rules) as two,
    ):
        changing = asyncio.create_task(restless(presence))
        await run_all(caller((one, two)[n % 2], n) for n in range(200))
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        for extension in extensions:
            await presence.ask(extension, PresenceState.READY, by="self")
        for each in await presence.everyone():
            assert each.state not in ENGAGED
        async with asyncio.timeout(PATIENCE):
            while await redis.zcard("desk:idle") < len(extensions):
                await asyncio.sleep(0.01)
    assert served == 200
