"""PostgreSQL and Redis answer, but slowly, or have forgotten everything.

docs/operations/failures.md tells operators what is seen here.
"""

import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.errors import CallcenterError
from callcenter.line.backlog import waiting as journals_waiting
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import answered_call, both_hear, connected, falls_back, served, unbroken
from tests.calls.house import House, until
from tests.calls.parts import OwnRedis, running_line
from tests.calls.relays import SlowServers, slow_servers
from tests.calls.stalls import Stalls
from tests.calls.talking import order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
log = logging.getLogger(__name__)


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@pytest_asyncio.fixture(loop_scope="session")
async def slow(house: House, short_folder: Path) -> AsyncIterator[SlowServers]:
    """The controller line-1 reaches both servers by these."""
    async with (
        slow_servers(house.settings, short_folder) as servers,
        running_line(servers.settings, "line-1"),
    ):
        yield servers


async def test_ten_seconds_a_query_are_noticed_by_no_caller_and_all_is_kept_with_its_times(
    house: House, slow: SlowServers
) -> None:
    numbers = [f"+7702007000{each}" for each in range(3)]
    async with (
        house.consultant("201") as consultant,
        house.caller(numbers[0]) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(house, caller, consultant)
        since, slow_since = time.monotonic(), time.time()
        slow.postgres.delay = 10.0
        async with house.caller(numbers[1]) as chooses:
            await chooses.press("2")
            await house.hears(chooses, "ru", "emergency_hint")
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        await leg.hang_up()
        await house.hears(caller, "kk", "goodbye")
        await caller.ended()
        async with house.caller(numbers[2]) as third:
            again = await answered_call(third, consultant)
            await again.answer()
            await both_hear(third, again)
            await again.hang_up()
            await third.ended()
        await house.switch.nothing_left()
        over = time.time()
        slow.postgres.delay = 0.0
    appeals = []
    for number in numbers:
        await until(partial(is_closed, house, number), f"{number} is kept", 40)
        appeals.append(await house.appeal(number))
    outcomes = [Outcome.TALKED, Outcome.LEFT_IN_MENU, Outcome.TALKED]
    assert [appeal.outcome for appeal in appeals] == outcomes
    assert len({appeal.number for appeal in appeals}) == 3
    for appeal in appeals:
        assert appeal.ended_at is not None
        assert slow_since < appeal.ended_at.timestamp() < over
        events = await house.events(appeal)
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[-1].kind == Moment.ENDED
    for appeal in (appeals[0], appeals[2]):
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"
    await until(lambda: nothing_waits(house), "no journal is left on disk", 40)


async def is_closed(house: House, number: str) -> bool:
    appeal = await house.live_appeal(number)
    return appeal is not None and appeal.outcome is not None


async def nothing_waits(house: House) -> bool:
    return journals_waiting(house.settings.journals) == []


@pytest.mark.parametrize("delay", [1.0, 5.0])
async def test_a_slow_redis_breaks_no_conversation_and_nobody_waits_for_it(
    house: House, slow: SlowServers, delay: float
) -> None:
    first, second = f"+7702007100{delay:.0f}", f"+7702007101{delay:.0f}"
    async with (
        house.consultant("201") as consultant,
        house.consultant("204") as other,
        house.caller(first) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(house, caller, consultant)
        since = time.monotonic()
        slow.redis.delay = delay
        async with house.caller(second) as wants_one:
            await wants_one.press("0")
            if delay > 2:
                await falls_back(house, wants_one)
            else:
                its = await other.next_call(20)
                await its.answer()
                await both_hear(wants_one, its)
                await its.hang_up()
                await wants_one.ended()
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        assert consultant.calls == [leg]  # a lease that ended offers nobody who talks
        slow.redis.delay = 0.0
        await until(lambda: can_be_held(house), "orders are carried out again", 30)
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
    assert (await house.appeal(first)).outcome == Outcome.TALKED
    # A connection that has to be made first takes several answers, and so perhaps too long.
    wanted = {Outcome.FALLBACK} if delay > 2 else {Outcome.TALKED, Outcome.FALLBACK}
    assert (await house.appeal(second)).outcome in wanted
    await served(house, "201", f"+7702007102{delay:.0f}")


async def can_be_held(house: House) -> bool:
    try:
        await order(house, "201", "hold")
    except CallcenterError as exc:
        log.warning("no order yet: %r", exc)
        return False
    return True


@pytest.mark.parametrize("fault", ["emptied", "restarted"])
async def test_what_redis_knew_is_there_again_within_seconds(
    house: House, slow: SlowServers, redis_server: OwnRedis, fault: str
) -> None:
    talks, waits = f"+7702007200{len(fault)}", f"+7702007201{len(fault)}"
    async with (
        house.softphone("201") as consultant,
        house.softphone("203") as free,
        house.caller(talks) as caller,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await house.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
        await free.register()
        async with house.caller(waits) as waiting:
            await waiting.press("0")
            await until(lambda: is_whole(house), "one talks, one is free, one waits")
            if fault == "emptied":
                await house.redis.flushall()
                await house.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
            else:
                await redis_server.kill()
                await redis_server.start()
            since = time.monotonic()
            async with Stalls() as stalls:
                if fault == "emptied":
                    await until(lambda: is_whole(house), "the desk knows all of it again")
                else:  # who waited has fallen back; the consultants are known
                    await until(lambda: knows_consultants(house), "the desk knows who is there")
            assert time.monotonic() - since < 3.0 + stalls.total
            await house.redis.delete("desk:holds")
            await waiting.hang_up()
        await until(lambda: can_be_held(house), "orders are carried out again", 15)
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
    assert (await house.appeal(talks)).outcome == Outcome.TALKED


async def knows_consultants(house: House) -> bool:
    return await house.redis.zcard("desk:idle") == 1


async def is_whole(house: House) -> bool:
    waits = await house.redis.zcard("desk:waiting")
    return await knows_consultants(house) and waits == 1
