"""Many callers who hang up at any moment, and consultants who answer, refuse or let it ring."""

import asyncio
import logging
from collections import Counter

import pytest

from callcenter.demo.call import Call
from callcenter.demo.faults import CallOver, NoAnswer, Refused
from callcenter.demo.phone import Phone
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import House
from tests.seeds import SeededRandom

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]

CALLS = 100
LONGEST = 9.0  # seconds that a caller stays; all stages of a call lie within them
AT_ONCE = 12

#: What has to have happened to a call, and what must not, for each outcome.
NEEDS = {
    Outcome.LEFT_IN_GREETING: (set(), {Moment.LANGUAGE}),
    Outcome.LEFT_IN_MENU: ({Moment.LANGUAGE}, {Moment.WAITING}),
    Outcome.LEFT_WAITING: ({Moment.WAITING}, set()),
    Outcome.LEFT_RINGING: ({Moment.RINGING}, set()),
    Outcome.TALKED: ({Moment.CONNECTED}, set()),
    Outcome.REDIRECTED: ({Moment.REDIRECTED}, set()),
    Outcome.NOBODY_FREE: ({Moment.WAITING, Moment.REDIRECT_FAILED}, set()),
}


async def test_a_hundred_callers_who_hang_up_at_any_moment_have_one_outcome_each(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    chance = SeededRandom(111)
    numbers = [f"+770300{n:05d}" for n in range(CALLS)]
    turns = asyncio.Semaphore(AT_ONCE)
    with caplog.at_level(logging.WARNING):
        async with (
            house.consultant("201") as answers,
            house.consultant("202") as refuses,
            house.consultant("203", rings=False),
            house.consultant("204") as wavers,
            house.unified_center() as center,
        ):
            behaviour = [
                asyncio.create_task(answer_calls(answers, chance, [0.0])),
                asyncio.create_task(answer_calls(refuses, chance, [])),
                asyncio.create_task(answer_calls(wavers, chance, [0.0, 0.5, 1.9, 2.1])),
                asyncio.create_task(answer_calls(center, chance, [0.0, 1.0])),
            ]
            await asyncio.gather(*(one_caller(house, n, chance, turns) for n in numbers))
            for task in behaviour:
                task.cancel()
            await asyncio.gather(*behaviour, return_exceptions=True)
    await everything_is_told(house, numbers)
    faults = [record for record in caplog.records if record.exc_info]
    assert faults == []
    assert not any("+7703" in record.getMessage() for record in caplog.records)


async def one_caller(
    house: House, number: str, chance: SeededRandom, turns: asyncio.Semaphore
) -> None:
    """Presses keys, sooner or later, or none, and hangs up at some moment."""
    stays = chance.uniform(0.0, LONGEST)
    keys = chance.choice(["", "0", "1", "2", "21", "11", "13", "23", "7", "79", "2*1", "12"])
    pause = chance.uniform(0.0, 2.0)
    async with turns, house.phone(number) as phone:
        call = await phone.call("111")
        try:
            async with asyncio.timeout(stays):
                await call.answered()
                for key in keys:
                    await asyncio.sleep(pause)
                    await call.press(key)
                await call.ended(LONGEST)
        except (TimeoutError, CallOver):
            await call.hang_up()


async def answer_calls(phone: Phone, chance: SeededRandom, delays: list[float]) -> None:
    """Answer each call after one of these delays and talk for a while; refuse without any."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            leg = await phone.next_call(1000)
            if delays:
                tasks.create_task(talk(leg, chance.choice(delays), chance.uniform(0.0, 4.0)))
            else:
                tasks.create_task(refuse(leg, chance.choice([486, 603, 480])))


async def talk(leg: Call, delay: float, length: float) -> None:
    try:
        await asyncio.sleep(delay)
        await leg.answer()
        await asyncio.sleep(length)
        await leg.hang_up()
    except (CallOver, NoAnswer, Refused):
        return  # the caller was quicker


async def refuse(leg: Call, status: int) -> None:
    try:
        await leg.reject(status)
    except CallOver:
        return


async def everything_is_told(house: House, numbers: list[str]) -> None:
    outcomes: Counter[str] = Counter()
    for number in numbers:
        if await house.live_appeal(number) is None:
            outcomes["never came"] += 1  # cancelled before the switch offered the call
            continue
        appeal = await house.appeal(number)
        moments = await house.moments(appeal)
        assert moments[0] == Moment.RECEIVED
        assert moments[-1] == Moment.ENDED
        assert moments.count(Moment.ENDED) == 1
        outcome = Outcome(str(appeal.outcome))
        needed, forbidden = NEEDS[outcome]
        assert needed <= set(moments), (number, outcome, moments)
        assert not forbidden & set(moments), (number, outcome, moments)
        outcomes[outcome] += 1
        await recordings_match(house, number, moments)
    # All of it was really tried.
    outcomes["in the queue"] = outcomes[Outcome.LEFT_WAITING] + outcomes[Outcome.LEFT_RINGING]
    for seen in (
        Outcome.LEFT_IN_GREETING,
        Outcome.LEFT_IN_MENU,
        "in the queue",
        Outcome.TALKED,
        Outcome.REDIRECTED,
    ):
        assert outcomes[seen] > 0, outcomes
    files = {path.name for path in house.settings.spool.glob("*.raw")}
    async with house.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT spool_name, state FROM recording")
        known = {row.spool_name: row.state for row in rows}
    assert files <= set(known), "a recording without a row"
    assert "recording" not in known.values()


async def recordings_match(house: House, number: str, moments: list[str]) -> None:
    appeal = await house.appeal(number)
    rows = await house.recordings(appeal)
    assert len(rows) == moments.count(Moment.CONNECTED)
    assert moments.count(Moment.RECORDING_STARTED) == moments.count(Moment.RECORDING_STOPPED)
    for row in rows:
        assert row.state == "closed"
        assert row.ended_at is not None
