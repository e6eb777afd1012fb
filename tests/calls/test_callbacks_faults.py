"""What was promised survives the death of every process, and is done by one controller only."""

import asyncio

import pytest

from callcenter.line.outcomes import Outcome
from callcenter.promises.states import State
from tests.calls.fragile import both_hear
from tests.calls.house import House, until
from tests.calls.parts import Line, OwnPostgres, OwnRedis, running_line
from tests.calls.test_callbacks import PROCESS, at_the_desk, attempts, became, owe, picked_up, talk
from tests.calls.test_promises import forget_promises, open_promises, promised_to_own_number
from tests.calls.waiting import SEVERAL

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_a_promise_outlives_the_controller_that_made_it(house: House, line: Line) -> None:
    number = "+77050000021"
    await promised_to_own_number(house, number, before_the_end=line.kill)
    assert await open_promises(house) == [number]
    await line.start()
    async with house.network(number) as network, house.softphone("203") as consultant:
        await consultant.register()
        applicant = await network.next_call(PROCESS)
        await applicant.answer()
        applicant.send_silence()
        await house.hears(applicant, "kk", "callback_neutral")
        await applicant.press("1")
        leg = await consultant.next_call(SEVERAL)
        await leg.answer()
        await both_hear(applicant, leg)
        await leg.hang_up()
        await applicant.ended()

    async def kept() -> bool:
        return await open_promises(house) == []

    await until(kept, "the promise is kept")
    assert (await house.appeal(number)).outcome == Outcome.CALLBACK


async def test_another_controller_goes_on_with_what_a_dead_one_took_care_of(
    house: House,
) -> None:
    number = "+77050000022"
    async with running_line(house.settings, "line-3") as dying:
        promise_id = await owe(house, number)
        await at_the_desk(house, promise_id)
        await dying.kill()
        async with running_line(house.settings, "line-4"):
            async with house.network(number) as network, house.softphone("202") as consultant:
                await consultant.register()
                await talk(house, network, consultant)
            await became(house, promise_id, State.KEPT)
    assert len(await attempts(house, number)) == 1


async def test_a_conversation_whose_controller_is_killed_goes_on_and_is_not_called_again(
    house: House, line: Line
) -> None:
    number = "+77050000023"
    promise_id = await owe(house, number)
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, house) as applicant:
            await applicant.press("1")
            leg = await consultant.next_call(SEVERAL)
            await leg.answer()
            await both_hear(applicant, leg)
            await became(house, promise_id, State.KEPT)
            await line.kill()
            await both_hear(applicant, leg)
            await line.start()
            await both_hear(applicant, leg)
            await leg.hang_up()
            await applicant.ended(SEVERAL)

    async def noted() -> bool:
        return await attempts(house, number) == ["talked"]

    await until(noted, "the call has its outcome", PROCESS)


async def test_an_emptied_redis_forgets_no_promise(
    house: House, line: Line, redis_server: OwnRedis
) -> None:
    number = "+77050000024"
    promise_id = await owe(house, number)
    await at_the_desk(house, promise_id)
    await redis_server.kill()
    await redis_server.start()
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        await talk(house, network, consultant)
    await became(house, promise_id, State.KEPT)


async def test_nothing_is_promised_while_the_database_is_away(
    house: House, line: Line, postgres_server: OwnPostgres
) -> None:
    async with house.caller("+77050000025") as caller:
        await caller.press("11")
        await house.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("2")
        await house.hears(caller, "kk", "callback_safe", SEVERAL)
        await asyncio.to_thread(postgres_server.stop)
        try:
            await caller.press("1")
            await house.hears(caller, "kk", "not_kept", SEVERAL)
            assert not house.was_heard(caller, "kk", "callback_ok")
        finally:
            await asyncio.to_thread(postgres_server.start)
    await house.appeal("+77050000025")
    await forget_promises(house)


async def test_a_controller_killed_while_the_number_rings_costs_one_attempt(
    house: House, line: Line
) -> None:
    number = "+77050000027"
    promise_id = await owe(house, number)
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        ringing = await network.next_call(PROCESS)
        await line.kill()
        await line.start()
        await ringing.ended(SEVERAL)
        await talk(house, network, consultant)
    await became(house, promise_id, State.KEPT)
    assert len(await attempts(house, number)) == 2
