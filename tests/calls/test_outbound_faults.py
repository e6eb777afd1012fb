"""A controller, PostgreSQL or Redis dies during, or before, calls that consultants make.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals import outgoing
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import both_hear
from tests.calls.house import House
from tests.calls.parts import Line, OwnPostgres, OwnRedis
from tests.calls.test_outbound import ended, moments_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_conversation_with_a_number_outlives_its_controller(
    house: House, line: Line
) -> None:
    number = "+77010400001"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        leg = await consultant.call(number)
        await leg.answered()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        await line.kill()
        await both_hear(called, leg)
        await line.start()
        await both_hear(called, leg)
        await called.hang_up()
        await leg.ended(20)
        call = await ended(house, number)
    assert call.outcome == Outcome.TALKED
    (recording,) = await house.recordings(await house.appeal(number))
    assert recording.ended_at is not None


async def test_a_number_that_a_killed_controller_rang_stops_ringing_and_so_does_the_consultant(
    house: House, line: Line
) -> None:
    number = "+77010400002"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        leg = await consultant.call(number)
        await leg.answered()
        leg.send_silence()
        called = await phone.next_call()
        await line.kill()
        await line.start()
        await called.ended(20)
        await leg.ended(20)


@asynccontextmanager
async def without(part: str, redis: OwnRedis, postgres: OwnPostgres) -> AsyncIterator[None]:
    """Within the block this part does not serve."""
    if part == "frozen Redis":
        redis.pause()
    elif part == "killed Redis":
        await redis.kill()
    else:
        await asyncio.to_thread(postgres.stop)
    try:
        yield
    finally:
        if part == "frozen Redis":
            redis.go_on()
        elif part == "killed Redis":
            await redis.start()
        else:
            await asyncio.to_thread(postgres.start)


@pytest.mark.parametrize(
    ("number", "part"), [("101", "frozen Redis"), ("102", "killed Redis"), ("112", "PostgreSQL")]
)
async def test_an_emergency_service_is_called_whatever_is_away_and_all_is_written_later(
    house: House,
    line: Line,
    redis_server: OwnRedis,
    postgres_server: OwnPostgres,
    number: str,
    part: str,
) -> None:
    async with house.consultant("201") as consultant, house.network(number) as phone:
        async with without(part, redis_server, postgres_server):
            leg = await consultant.call(number)
            await leg.answered()
            called = await phone.next_call(20)
            await called.answer()
            await both_hear(called, leg)
            await called.hang_up()
            await leg.ended(20)
        call = await ended(house, number)
        appeal = await house.appeal(number)
    assert (call.outcome, call.appeal_id) == (Outcome.TALKED, appeal.id)
    assert (appeal.channel, appeal.outcome) == (outgoing.CHANNEL, Outcome.TALKED)
    assert appeal.consultant_extension == "201"
    moments = await moments_of(house, call)
    assert (moments[0], moments[-1]) == (Moment.CALLING, Moment.ENDED)
    (recording,) = await house.recordings(appeal)
    assert recording.ended_at is not None
