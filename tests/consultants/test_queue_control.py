"""Paused queues and assigned calls, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import (
    LanguageNotSpoken,
    NotFree,
    NotOnRoster,
    NotWaiting,
    PlainRules,
)
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.errors import InvalidRequest
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    consultant,
    running_distributor,
    until_waiting,
)

RULES = PlainRules(wrap_up=60)
BY, WHY = "user:aliya", "a fire drill: nobody at the desks"


@asynccontextmanager
async def waiting(
    redis: Redis, distributor: RedisCallDistributor, call: str, language: str = "kk", **how: object
) -> AsyncIterator["asyncio.Task[str | None]"]:
    """Queue a caller; the task returns the offered extension."""
    async with distributor.place(call, language, **how) as place:  # type: ignore[arg-type]

        async def offered() -> str | None:
            found = await place.wait_for_offer(PATIENCE)
            return found.extension if found else None

        task = asyncio.create_task(offered())
        before = await redis.zcard("desk:waiting")
        await until_waiting(redis, before + 1)
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_paused_queue_is_offered_nobody_until_resumed(
    redis: Redis,
) -> None:
    directing = QueueControl(redis, RULES)
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await directing.pause_queue("kk", 60, by=BY, reason=WHY)
        async with (
            waiting(redis, distributor, "later", arrived=200.0) as later,
            waiting(redis, distributor, "first", arrived=100.0) as first,
        ):
            await distributor.update_devices({"201": FREE}, 1)
            async with distributor.place("other", "ru") as other:
                found = await other.wait_for_offer(PATIENCE)
                assert found is not None
                assert found.extension == "201"
            # Asked again while it waits, it is still held back.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(first), 2.5)
            assert not later.done()
            await directing.resume_queue("kk")
            assert await first == "201"
            assert not later.done()


@pytest.mark.parametrize("queue", ["kk", "all"])
async def test_urgent_and_directed_calls_are_never_paused(redis: Redis, queue: str) -> None:
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await QueueControl(redis, RULES).pause_queue(queue, 60, by=BY, reason=WHY)
        async with (
            waiting(redis, distributor, "patient", arrived=time.time() - 1000) as patient,
            waiting(redis, distributor, "danger", urgent=True) as urgent,
            waiting(redis, distributor, "transfer", target=TransferTarget("202")) as transfer,
        ):
            await distributor.update_devices({"201": FREE, "202": FREE}, 1)
            assert await urgent == "201"
            assert await transfer == "202"
            assert not patient.done()


async def test_a_queue_pause_ends_and_the_first_goes_first(redis: Redis) -> None:
    directing = QueueControl(redis, RULES)
    async with running_distributor(redis, "line-1", consultant(201)) as distributor:
        await distributor.update_devices({"201": FREE}, 1)
        await directing.pause_queue("all", 1, by=BY, reason=WHY)
        (hold,) = await directing.paused_queues()
        assert (hold.queue, hold.by, hold.reason) == ("all", BY, WHY)
        assert 0 < hold.until - time.time() < 5
        async with (
            waiting(redis, distributor, "later", arrived=200.0) as later,
            waiting(redis, distributor, "first", arrived=100.0) as first,
        ):
            await asyncio.wait((first, later), return_when=asyncio.FIRST_COMPLETED)
            assert (first.done(), later.done()) == (True, False)
        assert await directing.paused_queues() == []


async def test_no_supervisor_assigns_a_caller_against_the_language(
    redis: Redis,
) -> None:
    directing = QueueControl(redis, RULES)
    async with running_distributor(
        redis, "line-1", consultant(201, "ru"), consultant(202)
    ) as distributor:
        await distributor.update_devices({"201": FREE, "202": FREE}, 1)
        await directing.pause_queue("all", 60, by=BY, reason=WHY)
        async with waiting(redis, distributor, "call") as offered:
            with pytest.raises(LanguageNotSpoken):
                await directing.assign_call("call", "201", by=BY)
            assert not offered.done()
            await directing.assign_call("call", "202", by=BY)
            assert await offered == "202"


async def test_an_assigned_call_waits_through_a_talk_and_expires(
    redis: Redis,
) -> None:
    distributor = RedisCallDistributor(redis, "line-1", RULES)
    running = asyncio.create_task(distributor.run())
    await distributor.update_roster([consultant(201)])
    await distributor.update_devices({"201": FREE}, 1)
    async with distributor.place("before", "kk") as place:
        await place.wait_for_offer(PATIENCE)
        place.mark_answered()
    presence = PresenceService(redis, RULES)
    assert (await presence.of("201")).state is PresenceState.WRAP_UP
    async with waiting(redis, distributor, "call") as offered:
        await QueueControl(redis, RULES).assign_call("call", "201", by=BY)
        assert await offered == "201"
        assert (await presence.of("201")).state is PresenceState.OFFERED
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_cannot_be_handed_out_is_reported(redis: Redis) -> None:
    directing = QueueControl(redis, RULES)
    async with running_distributor(
        redis, "line-1", consultant(201), consultant(202)
    ) as distributor:
        await distributor.update_devices({"202": FREE}, 1)
        async with waiting(redis, distributor, "call", target=TransferTarget(skill="lawyer")):
            with pytest.raises(NotFree, match="signed_out"):
                await directing.assign_call("call", "201", by=BY)
            await PresenceService(redis, RULES).ask(
                "202", PresenceState.PAUSED, by="self", reason="lunch"
            )
            with pytest.raises(NotFree, match="paused"):
                await directing.assign_call("call", "202", by=BY)
            with pytest.raises(NotOnRoster):
                await directing.assign_call("call", "999", by=BY)
        with pytest.raises(NotWaiting):
            await directing.assign_call("call", "202", by=BY)


@pytest.mark.parametrize(
    ("queue", "seconds"), [("en", 60), ("", 60), ("kk", 0), ("kk", 3601), ("kk", float("nan"))]
)
async def test_no_other_queue_or_time_is_taken(redis: Redis, queue: str, seconds: float) -> None:
    with pytest.raises(InvalidRequest):
        await QueueControl(redis, RULES).pause_queue(queue, seconds, by=BY, reason=WHY)
    assert await QueueControl(redis, RULES).paused_queues() == []
