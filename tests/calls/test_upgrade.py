"""A new version is rolled in while calls are served, as docs/operations/running.md tells how."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text

from callcenter.ledger.jobs import account_for_calls
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.calls.fragile import both_hear, connected, has_happened, lost_packets, lost_sound
from tests.calls.house import CONSULTANT_TONE, House, until
from tests.calls.parts import running_line, running_watchdog
from tests.calls.talking import hears_tone, order
from tests.chaos.load import Load, at_work

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]
_BECAME = text("SELECT caller_number, outcome FROM appeal WHERE caller_number = ANY(:numbers)")
NOTICED = {None, Outcome.FALLBACK, Outcome.LOST_TO_A_FAULT}


@pytest_asyncio.fixture(loop_scope="session")
async def house(fragile: House) -> AsyncIterator[House]:
    async with running_watchdog(fragile.settings):
        yield fragile


async def holder_of(house: House, extension: str) -> str:
    """The life of a controller that has this consultant's call, by the desk; empty for none."""
    return str(await house.redis.hget("desk:holders", extension) or "")


@pytest.mark.parametrize("controllers", [1, 2])
async def test_controllers_are_replaced_one_by_one_and_nobody_notices(
    house: House, controllers: int
) -> None:
    """The only one is replaced in its place: who calls meanwhile is served by the fallback."""
    number = f"+7702040000{controllers}"
    async with AsyncExitStack() as stack:
        names = [f"line-{each}" for each in range(1, controllers + 1)]
        lines = [
            await stack.enter_async_context(running_line(house.settings, name)) for name in names
        ]
        consultant = await stack.enter_async_context(house.softphone("201"))
        await consultant.register()
        caller = await stack.enter_async_context(house.caller(number))
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        load = Load(house, controllers, ("202", "204"))
        for extension in load.crew if controllers > 1 else ():
            await stack.enter_async_context(at_work(load, extension))
        for line in lines:
            since = time.monotonic()
            for _ in range(3 if controllers > 1 else 0):
                load.begin()
            holder = await holder_of(house, "201")
            await line.kill(signal.SIGTERM)
            await line.start()
            if line.name in holder:

                async def is_taken_over(before: str = holder) -> bool:
                    return await holder_of(house, "201") not in ("", before)

                await until(is_taken_over, "another controller has the conversation")
            await both_hear(caller, leg)
            assert lost_packets(caller, since) == lost_packets(leg, since) == 0
            assert lost_sound(leg, since) < 0.1
            await order(house, "201", "hold")
            await has_happened(house, number, Moment.HELD)
            await order(house, "201", "resume")
            await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()
        await caller.ended()
        for task in list(load.callers):
            await task
        appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    moments = await house.moments(appeal)
    assert moments.count(Moment.HELD) == moments.count(Moment.RESUMED) == controllers
    (recording,) = await house.recordings(appeal)
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, _ = house.recorded(recording)
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.5
    await nobody_noticed(house, load)


async def nobody_noticed(house: House, load: Load) -> None:
    """Controllers served each of these callers, once. Who fell back has an appeal by the ledger."""
    await house.switch.nothing_left()
    await account_for_calls(Tools(house.settings, house.engine), timedelta())
    numbers = sorted(each.number for each in load.attempts)
    async with unit_of_work(house.engine) as connection:
        became = [tuple(row) for row in await connection.execute(_BECAME, {"numbers": numbers})]
    assert sorted(number for number, _ in became) == numbers
    assert {outcome for _, outcome in became}.isdisjoint(NOTICED), became
