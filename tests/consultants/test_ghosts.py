"""No ghost in what consultants are doing: whatever dies, is lost, or happens at random."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import Change
from callcenter.consultants.script import PlainRules
from callcenter.consultants.states import ENGAGED, IllegalMove, State
from callcenter.errors import WeFailed
from tests.consultants.desks import (
    FREE,
    PATIENCE,
    PLAIN,
    SIGN_IN,
    TALKING,
    at_desk,
    consultant,
    desk,
)
from tests.consultants.machine import EVENTS, Machine
from tests.seeds import generator

pytestmark = pytest.mark.slow


async def test_a_dead_controller_leaves_nobody_ringing_and_a_conversation_talking(
    redis: Redis,
) -> None:
    async with at_desk(redis, SIGN_IN, "201", "202") as (living, duty):
        for extension in ("201", "202"):
            await duty.ask(extension, State.READY, by="self")
        dying = Desk(redis, "line-2", SIGN_IN)
        await dying._do("tick", "line-2")
        for call in ("one", "two"):
            await dying._do("wait", call, "line-2", "kk", "1", "1", "kk", "")
            await dying._do("stage", call, "ringing")
        talks = str(await redis.hget("desk:held", "two"))
        await dying._do("stage", "two", "talking")
        await living.tell_devices({talks: TALKING}, 2)
        rang = "201" if talks == "202" else "202"
        async with asyncio.timeout(10):
            while await redis.exists("desk:held"):
                await asyncio.sleep(0.05)
        assert (await duty.of(rang)).state is State.READY
        assert (await duty.of(talks)).state is State.TALKING
        await living.tell_devices({talks: FREE}, 3)
        assert (await duty.of(talks)).state is State.WRAP_UP


async def test_a_redis_that_lost_everything_gets_the_last_states_back(redis: Redis) -> None:
    async with at_desk(redis, SIGN_IN, "201", "202") as (desk, duty):
        kept: dict[str, Change] = {}

        async def keep(changes: Sequence[Change]) -> None:
            kept.update({change.extension: change for change in changes})

        keeping = asyncio.create_task(duty.hand_over(keep))
        for extension in ("201", "202"):
            await duty.ask(extension, State.READY, by="self")
        await duty.ask("201", State.PAUSED, by="self", reason="lunch")
        await until_empty(redis)
        await redis.flushdb()
        await desk.tell_roster([consultant("201"), consultant("202")], kept)
        lunch = await duty.of("201")
        assert (lunch.state, lunch.reason) == (State.PAUSED, "lunch")
        assert lunch.since == pytest.approx(kept["201"].at.timestamp(), abs=1e-5)
        assert (await duty.of("202")).state is State.READY
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def until_empty(redis: Redis) -> None:
    async with asyncio.timeout(PATIENCE):
        while await redis.xlen("desk:changes"):
            await asyncio.sleep(0.01)


async def test_a_change_leaves_redis_only_when_it_was_kept(redis: Redis) -> None:
    async with at_desk(redis, PLAIN, "201") as (_, duty):
        tries: list[Sequence[Change]] = []

        async def keep(changes: Sequence[Change]) -> None:
            tries.append(changes)
            if len(tries) == 1:
                raise WeFailed("the database is away")

        keeping = asyncio.create_task(duty.hand_over(keep))
        await until_empty(redis)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert tries[0] == tries[1]
        assert [change.state for change in tries[1]] == [State.READY]


@pytest.mark.parametrize("sign_in", [False, True])
def test_no_sequence_of_events_makes_a_ghost(redis_url: str, sign_in: bool) -> None:
    with BlockingRedis.from_url(f"{redis_url}?db=3", decode_responses=True) as redis:

        @settings(max_examples=150, deadline=None)
        @given(st.lists(EVENTS, min_size=5, max_size=60), st.sampled_from((0.0, 30.0)))
        def play(events: list[Callable[[Machine], None]], wrap_up: float) -> None:
            machine = Machine(redis, PlainRules(sign_in_required=sign_in, wrap_up=wrap_up))
            for event in events:
                event(machine)
                machine.check()
            machine.everybody_can_work_again()

        play()


async def test_two_hundred_callers_fifty_consultants_and_states_that_change_at_random(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=0.01)
    extensions = [str(200 + number) for number in range(50)]
    rng = generator("two hundred callers")
    talking: set[str] = set()
    served = 0

    async def caller(desk: Desk, number: int) -> None:
        nonlocal served
        await asyncio.sleep(rng.uniform(0, 0.5))
        async with desk.place(f"call-{number}", rng.choice(("kk", "ru"))) as place:
            while True:
                offered = await place.offer(60)
                assert offered is not None
                place.rings()
                await asyncio.sleep(rng.uniform(0, 0.02))
                if place.consultant is None:  # the consultant left meanwhile
                    await place.give_back(unanswered=True)
                    continue
                assert offered.extension not in talking
                talking.add(offered.extension)
                place.answered()
                await asyncio.sleep(rng.uniform(0, 0.02))
                talking.remove(offered.extension)
                served += 1
                return

    async def restless(duty: DutyDesk) -> None:
        while True:
            wanted = rng.choice((State.READY, State.READY, State.PAUSED, State.SIGNED_OUT))
            try:
                await duty.ask(rng.choice(extensions), wanted, by="self", reason="lunch")
            except IllegalMove:
                continue
            await asyncio.sleep(0.001)

    async with (
        at_desk(redis, rules, *extensions) as (one, duty),
        desk(redis, "line-2", *map(consultant, extensions), rules=rules) as two,
    ):
        changing = asyncio.create_task(restless(duty))
        await asyncio.gather(*(caller((one, two)[n % 2], n) for n in range(200)))
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        for extension in extensions:
            await duty.ask(extension, State.READY, by="self")
        for each in await duty.everyone():
            assert each.state not in ENGAGED
        async with asyncio.timeout(PATIENCE):
            while await redis.zcard("desk:idle") < len(extensions):
                await asyncio.sleep(0.01)
    assert served == 200
