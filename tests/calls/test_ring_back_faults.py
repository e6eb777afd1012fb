"""The controller dies while a consultant's order to ring somebody back is on its way.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio

import pytest

from callcenter.errors import WeFailed
from callcenter.line.outcomes import Outcome
from tests.calls.fragile import both_hear
from tests.calls.house import House, until
from tests.calls.parts import Line, running_line
from tests.calls.test_outbound import ended
from tests.calls.test_ring_back import ask

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def is_free(house: House) -> bool:
    return await house.redis.zscore("desk:idle", "201") is not None


async def calls_to(house: House, number: str) -> int:
    async with house.engine.connect() as connection:
        query = "SELECT count(*) FROM outgoing_call WHERE number = %s"
        return int((await connection.exec_driver_sql(query, (number,))).scalar_one())


async def test_who_asks_one_that_dies_before_it_reads_is_told_and_asks_again(
    house: House, line: Line
) -> None:
    number = "+77010500001"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        line.pause()
        asked = asyncio.create_task(ask(house, number=number))
        with pytest.raises(WeFailed, match="see whether it was done"):
            await asked
        await line.kill()
        await line.start()
        await until(lambda: is_free(house), "201 is free", 20)
        assert await calls_to(house, number) == 0
        await ask(house, number=number)
        leg = await consultant.next_call()
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        assert (len(consultant.calls), len(phone.calls)) == (1, 1)
        await leg.hang_up()
        await called.ended()
        assert (await ended(house, number)).outcome == Outcome.TALKED
    assert await calls_to(house, number) == 1


async def test_who_asks_while_one_has_died_is_served_by_the_other(house: House, line: Line) -> None:
    """The dead one counts as alive for five seconds yet: it must not be asked."""
    number = "+77010500002"
    async with (
        running_line(house.settings, "line-2"),
        house.consultant("201") as consultant,
        house.network(number),
    ):
        await line.kill()
        for _ in range(5):
            await ask(house, number=number)
            await (await consultant.next_call()).reject()
            await until(lambda: is_free(house), "201 is free", 20)
    assert await calls_to(house, number) == 5


@pytest.mark.parametrize("rings", ["consultant", "number"])
async def test_when_it_dies_while_somebody_rings_all_stop_and_the_consultant_may_ask_again(
    house: House, line: Line, rings: str
) -> None:
    number = f"+7701050001{int(rings == 'number')}"
    async with (
        running_line(house.settings, "line-2") as other,
        house.consultant("201") as consultant,
        house.network(number) as phone,
    ):
        await ask(house, number=number)
        leg = await consultant.next_call()
        if rings == "number":
            await leg.answer()
            leg.send_silence()
            called = await phone.next_call()
        dies, stays = (line, other) if await began(house, "line-1") else (other, line)
        await dies.kill()
        if rings == "number":
            await called.ended(20)
            await house.hears(leg, "ru", "duty_refused")
        await leg.ended(20)
        await until(lambda: is_free(house), "201 is free", 20)
        await ask(house, number=number)
        again = await consultant.next_call()
        await again.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, again)
        assert (consultant.calls, phone.calls) == ([again], [called])
        await again.hang_up()
        await called.ended()
        assert not stays.has_ended
    assert (await ended(house, number)).outcome == Outcome.TALKED


async def began(house: House, name: str) -> bool:
    return f" {name}." in str(await house.redis.hget("desk:holders", "201"))
