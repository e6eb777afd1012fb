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

from callcenter.platform.core.errors import CallcenterError
from callcenter.telephony.calls.journal.spool import pending_spools as journals_waiting
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import (
    answered_call,
    both_hear,
    connected,
    falls_back,
    served,
    unbroken,
)
from tests.calls.processes import OwnRedis, running_controller_program
from tests.calls.stall_meter import Stalls
from tests.calls.talking import order
from tests.calls.tcp_proxies import SlowServers, slow_servers
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
log = logging.getLogger(__name__)

FALLBACK_ANNOUNCED = 55  # seconds of greeting, keys and notice in both languages, before it rings


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@pytest_asyncio.fixture(loop_scope="session")
async def slow(call_center: CallCenter, short_folder: Path) -> AsyncIterator[SlowServers]:
    """The controller line-1 reaches both servers by these."""
    async with (
        slow_servers(call_center.settings, short_folder) as servers,
        running_controller_program(servers.settings, "line-1"),
    ):
        yield servers


async def test_ten_second_queries_delay_no_caller_and_lose_nothing(
    call_center: CallCenter, slow: SlowServers
) -> None:
    numbers = [f"+7702007000{each}" for each in range(3)]
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller(numbers[0]) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(call_center, caller, consultant)
        since, slow_since = time.monotonic(), time.time()
        slow.postgres.delay = 10.0
        async with call_center.caller(numbers[1]) as chooses:
            await chooses.press("2")
            await call_center.hears(chooses, "ru", "emergency_hint")
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        await leg.hang_up()
        await call_center.hears(caller, "kk", "goodbye")
        await caller.ended()
        async with call_center.caller(numbers[2]) as third:
            again = await answered_call(third, consultant)
            await again.answer()
            await both_hear(third, again)
            await again.hang_up()
            await third.ended()
        await call_center.switch.assert_no_resources_left()
        over = time.time()
        slow.postgres.delay = 0.0
    appeals = []
    for number in numbers:
        await until(partial(is_closed, call_center, number), f"{number} is kept", 40)
        appeals.append(await call_center.appeal(number))
    outcomes = [Outcome.TALKED, Outcome.LEFT_IN_MENU, Outcome.TALKED]
    assert [appeal.outcome for appeal in appeals] == outcomes
    assert len({appeal.number for appeal in appeals}) == 3
    for appeal in appeals:
        assert appeal.ended_at is not None
        assert slow_since < appeal.ended_at.timestamp() < over
        events = await call_center.events(appeal)
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[-1].kind == CallEvent.ENDED
    for appeal in (appeals[0], appeals[2]):
        (recording,) = await call_center.recordings(appeal)
        assert recording.state == "closed"
    await until(lambda: nothing_waits(call_center), "no journal is left on disk", 40)


async def is_closed(call_center: CallCenter, number: str) -> bool:
    appeal = await call_center.live_appeal(number)
    return appeal is not None and appeal.outcome is not None


async def nothing_waits(call_center: CallCenter) -> bool:
    return journals_waiting(call_center.settings.journals) == []


@pytest.mark.parametrize("delay", [1.0, 5.0])
async def test_a_slow_redis_breaks_no_talk_and_delays_nobody(
    call_center: CallCenter, slow: SlowServers, delay: float
) -> None:
    first, second = f"+7702007100{delay:.0f}", f"+7702007101{delay:.0f}"
    async with (
        call_center.consultant("201") as consultant,
        call_center.consultant("204") as other,
        call_center.caller(first) as caller,
        Stalls() as stalls,
    ):
        leg = await connected(call_center, caller, consultant)
        since = time.monotonic()
        slow.redis.delay = delay
        async with call_center.caller(second) as wants_one:
            await wants_one.press("0")
            if delay > 2:
                await falls_back(call_center, wants_one)
            else:
                its = await other.next_call(FALLBACK_ANNOUNCED + 10)
                await its.answer()
                await both_hear(wants_one, its)
                await its.hang_up()
                await wants_one.ended()
        await both_hear(caller, leg)
        unbroken(caller, leg, since, stalled=stalls.longest)
        assert consultant.calls == [leg]  # a lease that ended offers nobody who talks
        slow.redis.delay = 0.0
        await until(lambda: can_be_held(call_center), "orders are carried out again", 30)
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
    assert (await call_center.appeal(first)).outcome == Outcome.TALKED
    # A connection that has to be made first takes several answers, and so perhaps too long.
    expected = {Outcome.FALLBACK} if delay > 2 else {Outcome.TALKED, Outcome.FALLBACK}
    assert (await call_center.appeal(second)).outcome in expected
    await served(call_center, "201", f"+7702007102{delay:.0f}")


async def can_be_held(call_center: CallCenter) -> bool:
    try:
        await order(call_center, "201", "hold")
    except CallcenterError as exc:
        log.warning("no order yet: %r", exc)
        return False
    return True


@pytest.mark.parametrize("fault", ["emptied", "restarted"])
async def test_what_redis_knew_is_there_again_within_seconds(
    call_center: CallCenter, slow: SlowServers, redis_server: OwnRedis, fault: str
) -> None:
    talks, waits = f"+7702007200{len(fault)}", f"+7702007201{len(fault)}"
    async with (
        call_center.softphone("201") as consultant,
        call_center.softphone("203") as free,
        call_center.caller(talks) as caller,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await call_center.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
        await free.register()
        async with call_center.caller(waits) as waiting:
            await waiting.press("0")
            await until(lambda: is_whole(call_center), "one talks, one is free, one waits")
            if fault == "emptied":
                await call_center.redis.flushall()
                await call_center.redis.hset("desk:holds", "all", f"{time.time() + 60} test -")
            else:
                await redis_server.kill()
                await redis_server.start()
            since = time.monotonic()
            async with Stalls() as stalls:
                if fault == "emptied":
                    await until(
                        lambda: is_whole(call_center), "the distributor knows all of it again"
                    )
                else:  # who waited has fallen back; the consultants are known
                    await until(
                        lambda: knows_consultants(call_center), "the distributor knows who is there"
                    )
            require_within(time.monotonic() - since, 3.0 + stalls.total, "recovery")
            await call_center.redis.delete("desk:holds")
            await waiting.hang_up()
        await until(lambda: can_be_held(call_center), "orders are carried out again", 15)
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
    assert (await call_center.appeal(talks)).outcome == Outcome.TALKED


async def knows_consultants(call_center: CallCenter) -> bool:
    return await call_center.redis.zcard("desk:idle") == 1


async def is_whole(call_center: CallCenter) -> bool:
    waits = await call_center.redis.zcard("desk:waiting")
    return await knows_consultants(call_center) and waits == 1
