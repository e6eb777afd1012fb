"""A controller, PostgreSQL or Redis dies during, or before, calls that consultants make.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals.calls import outbound_calls
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.processes import ControllerProgram, OwnPostgres, OwnRedis
from tests.calls.test_outbound import ended, moments_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_a_conversation_with_a_number_outlives_its_controller(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77010400001"
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
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
        call = await ended(call_center, number)
    assert call.outcome == Outcome.TALKED
    (recording,) = await call_center.recordings(await call_center.appeal(number))
    assert recording.ended_at is not None


async def test_a_killed_controllers_outbound_ringing_stops_on_both_sides(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77010400002"
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
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
async def test_emergency_services_are_called_during_any_outage(
    call_center: CallCenter,
    line: ControllerProgram,
    redis_server: OwnRedis,
    postgres_server: OwnPostgres,
    number: str,
    part: str,
) -> None:
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
        async with without(part, redis_server, postgres_server):
            leg = await consultant.call(number)
            await leg.answered()
            called = await phone.next_call(20)
            await called.answer()
            await both_hear(called, leg)
            await called.hang_up()
            await leg.ended(20)
        call = await ended(call_center, number)
        appeal = await call_center.appeal(number)
    assert (call.outcome, call.appeal_id) == (Outcome.TALKED, appeal.id)
    assert (appeal.channel, appeal.outcome) == (outbound_calls.CHANNEL, Outcome.TALKED)
    assert appeal.consultant_extension == "201"
    moments = await moments_of(call_center, call)
    assert (moments[0], moments[-1]) == (CallEvent.CALLING, CallEvent.ENDED)
    (recording,) = await call_center.recordings(appeal)
    assert recording.ended_at is not None
