"""A roster that was read earlier than the one that is there comes late, and changes nothing."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.redis_script import DistributorScript, DistributorUnavailable
from callcenter.consultants.roster import refresh_roster
from callcenter.platform.storage import notify_listener
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.controller.presence_sync import PresenceSync
from tests.consultants.distributors import PLAIN, consultant, running_distributor
from tests.polling import until

MINUTE = 60.0  # seconds


class SlowScript(DistributorScript):
    """A script of somebody who has read the roster, and is slow to send it."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, PLAIN)
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, operation: str, *arguments: str) -> Any:
        if operation == "roster":
            self.has_read.set()
            await self.go_on.wait()
        return await super().__call__(operation, *arguments)


class ClockOutScript(DistributorScript):
    """A script that cannot read the clock of Redis at first; `operations` are all it did."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, PLAIN)
        self.operations: list[str] = []

    async def __call__(self, operation: str, *arguments: str) -> Any:
        self.operations.append(operation)
        if self.operations.count("now") < 3:
            raise DistributorUnavailable("no answer")
        return await super().__call__(operation, *arguments)


async def on_roster(redis: Redis) -> list[str]:
    return sorted(map(str, await redis.hkeys("desk:roster")))


@pytest.mark.parametrize("others", [[], ["202"]])
async def test_who_was_shut_out_comes_back_by_no_older_roster(
    redis: Redis, engine: AsyncEngine, others: list[str]
) -> None:
    async with unit_of_work(engine) as connection:
        for extension in ("201", *others):
            await store.add(
                connection, extension=extension, name="Aigul", languages=["kk"], digest="0" * 32
            )
    slow = SlowScript(redis)
    late = asyncio.create_task(refresh_roster(engine, slow))
    await until(slow.has_read.is_set, "one has read the roster")
    async with unit_of_work(engine) as connection:
        await store.set_active(connection, "201", False)
    await refresh_roster(engine, DistributorScript(redis, PLAIN))
    assert await on_roster(redis) == others
    slow.go_on.set()
    await late
    assert await on_roster(redis) == others


async def test_any_roster_is_taken_by_an_emptied_redis(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        read_at = await distributor.now()
        await distributor.update_roster([consultant(202)])
        await distributor.update_roster([consultant(201)], read_at=read_at)
        assert await on_roster(redis) == ["202"]
        await redis.flushall()
        await distributor.update_roster([consultant(201)], read_at=read_at)
        assert await on_roster(redis) == ["201"]


async def test_a_clock_that_was_set_back_refuses_no_roster(redis: Redis) -> None:
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        await distributor.update_roster([consultant(201)], read_at=time.time() + MINUTE)
        for extension in (202, 203):
            await distributor.update_roster([consultant(extension)])
            assert await on_roster(redis) == [str(extension)]


async def test_a_controller_stamps_no_roster_by_its_own_clock(
    redis: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be late: then Redis would refuse the roster, and nobody would send it again."""
    monkeypatch.setattr(notify_listener, "REPEAT_INTERVAL", 0.11)
    await refresh_roster(engine, DistributorScript(redis, PLAIN))
    distributor = RedisCallDistributor(redis, "line-1", PLAIN)
    distributor.script = script = ClockOutScript(redis)
    changes = Subscription()

    async def no_states() -> Mapping[str, str]:
        return {}

    sync = PresenceSync(distributor, RedisQueueMonitor(redis), engine, no_states, changes)
    running = asyncio.create_task(sync.run())
    try:
        changes.notify()
        await until(lambda: "roster" in script.operations, "the roster is pushed")
    finally:
        running.cancel()
        await asyncio.wait((running,))
    assert script.operations[: script.operations.index("roster")].count("now") == 3
