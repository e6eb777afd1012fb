"""Queues that are held back, and calls that are handed out, on the real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.directing import Directing
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import (
    NotFree,
    NotOnRoster,
    NotSpoken,
    NotWaiting,
    PlainRules,
)
from callcenter.consultants.states import State
from callcenter.errors import AskedWrongly
from tests.consultants.desks import FREE, PATIENCE, consultant, desk, until_waiting

RULES = PlainRules(wrap_up=60)
BY, WHY = "user:aliya", "a fire drill: nobody at the desks"


@asynccontextmanager
async def waiting(
    redis: Redis, opened: Desk, call: str, language: str = "kk", **how: object
) -> AsyncIterator["asyncio.Task[str | None]"]:
    """A caller who waits; the result is who was offered."""
    async with opened.place(call, language, **how) as place:  # type: ignore[arg-type]

        async def offered() -> str | None:
            found = await place.offer(PATIENCE)
            return found.extension if found else None

        task = asyncio.create_task(offered())
        before = await redis.zcard("desk:waiting")
        await until_waiting(redis, before + 1)
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_queue_that_is_held_back_is_offered_to_nobody_until_it_is_let_on(
    redis: Redis,
) -> None:
    directing = Directing(redis, RULES)
    async with desk(redis, "line-1", consultant(201), consultant(202)) as opened:
        await directing.hold_back("kk", 60, by=BY, reason=WHY)
        async with (
            waiting(redis, opened, "later", arrived=200.0) as later,
            waiting(redis, opened, "first", arrived=100.0) as first,
        ):
            await opened.tell_devices({"201": FREE}, 1)
            async with opened.place("other", "ru") as other:
                found = await other.offer(PATIENCE)
                assert found is not None
                assert found.extension == "201"
            # Asked again while it waits, it is still held back.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(first), 2.5)
            assert not later.done()
            await directing.let_on("kk")
            assert await first == "201"
            assert not later.done()


@pytest.mark.parametrize("queue", ["kk", "all"])
async def test_urgent_calls_and_calls_for_one_consultant_are_never_held_back(
    redis: Redis, queue: str
) -> None:
    async with desk(redis, "line-1", consultant(201), consultant(202)) as opened:
        await Directing(redis, RULES).hold_back(queue, 60, by=BY, reason=WHY)
        async with (
            waiting(redis, opened, "patient", arrived=time.time() - 1000) as patient,
            waiting(redis, opened, "danger", urgent=True) as urgent,
            waiting(redis, opened, "transfer", consultant="202") as transfer,
        ):
            await opened.tell_devices({"201": FREE, "202": FREE}, 1)
            assert await urgent == "201"
            assert await transfer == "202"
            assert not patient.done()


async def test_a_hold_ends_by_itself_and_then_whoever_came_first_goes_first(redis: Redis) -> None:
    directing = Directing(redis, RULES)
    async with desk(redis, "line-1", consultant(201)) as opened:
        await opened.tell_devices({"201": FREE}, 1)
        await directing.hold_back("all", 1, by=BY, reason=WHY)
        (hold,) = await directing.holds()
        assert (hold.queue, hold.by, hold.reason) == ("all", BY, WHY)
        assert 0 < hold.until - time.time() < 5
        async with (
            waiting(redis, opened, "later", arrived=200.0) as later,
            waiting(redis, opened, "first", arrived=100.0) as first,
        ):
            await asyncio.wait((first, later), return_when=asyncio.FIRST_COMPLETED)
            assert (first.done(), later.done()) == (True, False)
        assert await directing.holds() == []


async def test_no_supervisor_gives_a_caller_to_somebody_who_does_not_speak_the_language(
    redis: Redis,
) -> None:
    directing = Directing(redis, RULES)
    async with desk(redis, "line-1", consultant(201, "ru"), consultant(202)) as opened:
        await opened.tell_devices({"201": FREE, "202": FREE}, 1)
        await directing.hold_back("all", 60, by=BY, reason=WHY)
        async with waiting(redis, opened, "call") as offered:
            with pytest.raises(NotSpoken):
                await directing.hand_out("call", "201", by=BY)
            assert not offered.done()
            await directing.hand_out("call", "202", by=BY)
            assert await offered == "202"


async def test_a_call_is_handed_out_to_somebody_past_a_conversation_and_ends_that_time(
    redis: Redis,
) -> None:
    opened = Desk(redis, "line-1", RULES)
    running = asyncio.create_task(opened.run())
    await opened.tell_roster([consultant(201)])
    await opened.tell_devices({"201": FREE}, 1)
    async with opened.place("before", "kk") as place:
        await place.offer(PATIENCE)
        place.answered()
    duty = DutyDesk(redis, RULES)
    assert (await duty.of("201")).state is State.WRAP_UP
    async with waiting(redis, opened, "call") as offered:
        await Directing(redis, RULES).hand_out("call", "201", by=BY)
        assert await offered == "201"
        assert (await duty.of("201")).state is State.OFFERED
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_cannot_be_handed_out_is_told(redis: Redis) -> None:
    directing = Directing(redis, RULES)
    async with desk(redis, "line-1", consultant(201), consultant(202)) as opened:
        await opened.tell_devices({"202": FREE}, 1)
        async with waiting(redis, opened, "call", skill="lawyer"):
            with pytest.raises(NotFree, match="signed_out"):
                await directing.hand_out("call", "201", by=BY)
            await DutyDesk(redis, RULES).ask("202", State.PAUSED, by="self", reason="lunch")
            with pytest.raises(NotFree, match="paused"):
                await directing.hand_out("call", "202", by=BY)
            with pytest.raises(NotOnRoster):
                await directing.hand_out("call", "999", by=BY)
        with pytest.raises(NotWaiting):
            await directing.hand_out("call", "202", by=BY)


@pytest.mark.parametrize(
    ("queue", "seconds"), [("en", 60), ("", 60), ("kk", 0), ("kk", 3601), ("kk", float("nan"))]
)
async def test_no_other_queue_or_time_is_taken(redis: Redis, queue: str, seconds: float) -> None:
    with pytest.raises(AskedWrongly):
        await Directing(redis, RULES).hold_back(queue, seconds, by=BY, reason=WHY)
    assert await Directing(redis, RULES).holds() == []
