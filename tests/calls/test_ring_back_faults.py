"""The controller dies while a consultant's order to ring somebody back is on its way.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio

import pytest

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.processes import ControllerProgram, running_controller_program
from tests.calls.test_outbound import ended
from tests.calls.test_ring_back import ask
from tests.polling import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def is_free(call_center: CallCenter) -> bool:
    return await call_center.redis.zscore("desk:idle", "201") is not None


async def calls_to(call_center: CallCenter, number: str) -> int:
    async with call_center.engine.connect() as connection:
        query = "SELECT count(*) FROM outgoing_call WHERE number = %s"
        return int((await connection.exec_driver_sql(query, (number,))).scalar_one())


async def test_a_command_unread_by_a_dying_controller_is_refused(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    number = "+77010500001"
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
        line.pause()
        requested = asyncio.create_task(ask(call_center, number=number))
        # Its sentinel ends it: perhaps it had read what was asked, or nobody is there any more.
        words = "check what it is doing before you try again|no controller is running"
        with pytest.raises(OperationFailed, match=words):
            await requested
        await line.ended()
        await line.start()
        await until(lambda: is_free(call_center), "201 is free", 20)
        assert await calls_to(call_center, number) == 0
        await ask(call_center, number=number)
        leg = await consultant.next_call()
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        assert (len(consultant.calls), len(phone.calls)) == (1, 1)
        await leg.hang_up()
        await called.ended()
        assert (await ended(call_center, number)).outcome == Outcome.TALKED
    assert await calls_to(call_center, number) == 1


async def test_commands_during_a_death_are_served_by_the_other(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    """The dead one counts as alive for five seconds yet: it must not be asked."""
    number = "+77010500002"
    async with (
        running_controller_program(call_center.settings, "line-2"),
        call_center.consultant("201") as consultant,
        call_center.network(number),
    ):
        await line.kill()
        for _ in range(5):
            await ask(call_center, number=number)
            await (await consultant.next_call()).reject()
            await until(lambda: is_free(call_center), "201 is free", 20)
    assert await calls_to(call_center, number) == 5


@pytest.mark.parametrize("rings", ["consultant", "number"])
async def test_ringing_stops_with_its_controller_and_may_be_repeated(
    call_center: CallCenter, line: ControllerProgram, rings: str
) -> None:
    number = f"+7701050001{int(rings == 'number')}"
    async with (
        running_controller_program(call_center.settings, "line-2") as other,
        call_center.consultant("201") as consultant,
        call_center.network(number) as phone,
    ):
        await ask(call_center, number=number)
        leg = await consultant.next_call()
        if rings == "number":
            await leg.answer()
            leg.send_silence()
            called = await phone.next_call()
        dies, stays = (line, other) if await began(call_center, "line-1") else (other, line)
        await dies.kill()
        if rings == "number":
            await called.ended(20)
            await call_center.hears(leg, "ru", "duty_refused")
        await leg.ended(20)
        await until(lambda: is_free(call_center), "201 is free", 20)
        await ask(call_center, number=number)
        again = await consultant.next_call()
        await again.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, again)
        assert (consultant.calls, phone.calls) == ([again], [called])
        await again.hang_up()
        await called.ended()
        assert not stays.has_ended
    assert (await ended(call_center, number)).outcome == Outcome.TALKED


async def began(call_center: CallCenter, name: str) -> bool:
    return f" {name}." in str(await call_center.redis.hget("desk:holders", "201"))
