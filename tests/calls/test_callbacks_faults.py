"""What was promised survives the death of every process, and is done by one controller only."""

import asyncio

import pytest

from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.processes import (
    ControllerProgram,
    OwnPostgres,
    OwnRedis,
    running_controller_program,
)
from tests.calls.test_callback_requests import (
    forget_promises,
    open_promises,
    promised_to_own_number,
)
from tests.calls.test_callbacks import (
    PROCESS,
    at_the_distributor,
    attempts,
    became,
    owe,
    picked_up,
    talk,
)
from tests.calls.waiting import SEVERAL, waits
from tests.polling import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_another_controller_keeps_the_promise_of_a_dead_one(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77050000021"

    async def die_with_its_claim() -> None:
        await until(lambda: waits(call_center), "the promise waits at the distributor")
        await line.kill()

    await promised_to_own_number(call_center, number, before_the_end=die_with_its_claim)
    assert await open_promises(call_center) == [number]
    async with (
        running_controller_program(call_center.settings, "line-2"),
        call_center.network(number) as network,
        call_center.softphone("203") as consultant,
    ):
        await consultant.register()
        applicant = await network.next_call(PROCESS)
        await applicant.answer()
        applicant.send_silence()
        await call_center.hears(applicant, "kk", "callback_neutral")
        await applicant.press("1")
        leg = await consultant.next_call(SEVERAL)
        await leg.answer()
        await both_hear(applicant, leg)
        await leg.hang_up()
        await applicant.ended()

        async def is_reached() -> bool:
            return await open_promises(call_center) == []

        await until(is_reached, "the promise is kept")
        assert (await call_center.appeal(number)).outcome == Outcome.CALLBACK
    assert len(await attempts(call_center, number)) == 1


async def test_a_callback_talk_survives_its_controller_and_is_not_repeated(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77050000023"
    promise_id = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, call_center) as applicant:
            await applicant.press("1")
            leg = await consultant.next_call(SEVERAL)
            await leg.answer()
            await both_hear(applicant, leg)
            await became(call_center, promise_id, CallbackState.REACHED)
            await line.kill()
            await both_hear(applicant, leg)
            await line.start()
            await both_hear(applicant, leg)
            await leg.hang_up()
            await applicant.ended(SEVERAL)

    async def noted() -> bool:
        return await attempts(call_center, number) == ["talked"]

    await until(noted, "the call has its outcome", PROCESS)


async def test_an_emptied_redis_forgets_no_promise(
    call_center: CallCenter, line: ControllerProgram, redis_server: OwnRedis
) -> None:
    number = "+77050000024"
    promise_id = await owe(call_center, number)
    await at_the_distributor(call_center, promise_id)
    await redis_server.kill()
    await redis_server.start()
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        await talk(call_center, network, consultant)
    await became(call_center, promise_id, CallbackState.REACHED)


async def test_nothing_is_promised_while_the_database_is_unavailable(
    call_center: CallCenter, line: ControllerProgram, postgres_server: OwnPostgres
) -> None:
    async with call_center.caller("+77050000025") as caller:
        await caller.press("11")
        await call_center.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("2")
        await call_center.hears(caller, "kk", "callback_number")
        await asyncio.to_thread(postgres_server.stop)
        try:
            await caller.press("1")
            await call_center.hears(caller, "kk", "not_kept", SEVERAL)
            assert not call_center.was_heard(caller, "kk", "callback_ok")
        finally:
            await asyncio.to_thread(postgres_server.start)
    await call_center.appeal("+77050000025")
    await forget_promises(call_center)


async def test_a_controller_killed_while_the_number_rings_costs_one_attempt(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77050000027"
    promise_id = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        ringing = await network.next_call(PROCESS)
        await line.kill()
        await line.start()
        await ringing.ended(SEVERAL)
        await talk(call_center, network, consultant)
    await became(call_center, promise_id, CallbackState.REACHED)
    assert len(await attempts(call_center, number)) == 2
