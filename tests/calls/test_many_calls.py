"""Many callers who hang up at any moment, and consultants who answer, refuse or let it ring."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

import pytest

from callcenter.sipphone.call import SipCall
from callcenter.sipphone.errors import CallOver, NoAnswer, Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.seeds import SeededRandom

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.long,
]

CALLS, FEW = 100, 40  # at length, and else
SEED = 3  # with which also few callers come to every stage
KEYS = ("", "0", "1", "2", "21", "11", "13", "23", "7", "79", "2*1", "12")
LONGEST = 9.0  # seconds that a caller stays; all stages of a call lie within them
AT_ONCE = 12

#: What has to have happened to a call, and what must not, for each outcome.
NEEDS = {
    Outcome.LEFT_IN_GREETING: (set(), {CallEvent.LANGUAGE}),
    Outcome.LEFT_IN_MENU: ({CallEvent.LANGUAGE}, {CallEvent.WAITING}),
    Outcome.LEFT_WAITING: ({CallEvent.WAITING}, set()),
    Outcome.LEFT_RINGING: ({CallEvent.RINGING}, set()),
    Outcome.TALKED: ({CallEvent.CONNECTED}, set()),
    Outcome.REDIRECTED: ({CallEvent.REDIRECTED}, set()),
    Outcome.NOBODY_FREE: ({CallEvent.WAITING, CallEvent.REDIRECT_FAILED}, set()),
}


class Behaviour(NamedTuple):
    """What a caller does; times are in seconds."""

    keys: str  #: one after the other, or none
    pause: float  #: before each
    stays: float  #: then the caller hangs up


def draw_behaviours(count: int) -> list[Behaviour]:
    """All at once: drawn as calls begin, they would depend on how quick the machine is."""
    chance = SeededRandom(SEED)
    patient = [Behaviour(keys, 0.5, LONGEST) for keys in ("13", "23")]  # until 1414 answers
    drawn = [
        Behaviour(chance.choice(KEYS), chance.uniform(0.0, 2.0), chance.uniform(0.0, LONGEST))
        for _ in range(count - len(patient))
    ]
    return patient + drawn


async def test_callers_who_hang_up_anytime_have_one_outcome(
    call_center: CallCenter, caplog: pytest.LogCaptureFixture, at_length: bool
) -> None:
    chance = SeededRandom(SEED)
    numbers = [f"+770300{n:05d}" for n in range(CALLS if at_length else FEW)]
    turns = asyncio.Semaphore(AT_ONCE)
    with caplog.at_level(logging.WARNING):
        async with (
            call_center.consultant("201") as answers,
            call_center.consultant("202") as refuses,
            call_center.consultant("203", rings=False),
            call_center.consultant("204") as wavers,
            call_center.unified_center() as center,
        ):
            behaviour = [
                asyncio.create_task(answer_calls(answers, chance, [0.0])),
                asyncio.create_task(answer_calls(refuses, chance, [])),
                asyncio.create_task(answer_calls(wavers, chance, [0.0, 0.5, 1.9, 2.1])),
                asyncio.create_task(answer_calls(center, chance, [0.0, 1.0])),
            ]
            callers = zip(numbers, draw_behaviours(len(numbers)), strict=True)
            await asyncio.gather(*(one_caller(call_center, *each, turns) for each in callers))
            for task in behaviour:
                task.cancel()
            await asyncio.gather(*behaviour, return_exceptions=True)
    await everything_is_registered(call_center, numbers)
    faults = [record for record in caplog.records if record.exc_info]
    assert faults == []
    assert not any("+7703" in record.getMessage() for record in caplog.records)


async def one_caller(
    call_center: CallCenter, number: str, behaviour: Behaviour, turns: asyncio.Semaphore
) -> None:
    """Presses keys, sooner or later, or none, and hangs up at some moment."""
    async with turns, call_center.phone(number) as phone:
        call = await phone.call("111")
        try:
            async with asyncio.timeout(behaviour.stays):
                await call.answered()
                for key in behaviour.keys:
                    await asyncio.sleep(behaviour.pause)
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


async def talk(leg: SipCall, delay: float, length: float) -> None:
    try:
        await asyncio.sleep(delay)
        await leg.answer()
        await asyncio.sleep(length)
        await leg.hang_up()
    except (CallOver, NoAnswer, Refused):
        return  # the caller was quicker


async def refuse(leg: SipCall, status: int) -> None:
    try:
        await leg.reject(status)
    except CallOver:
        return


async def everything_is_registered(call_center: CallCenter, numbers: list[str]) -> None:
    outcomes: Counter[str] = Counter()
    for number in numbers:
        if await call_center.live_appeal(number) is None:
            outcomes["never came"] += 1  # cancelled before the switch offered the call
            continue
        appeal = await call_center.appeal(number)
        moments = await call_center.moments(appeal)
        assert moments[0] == CallEvent.RECEIVED
        assert moments[-1] == CallEvent.ENDED
        assert moments.count(CallEvent.ENDED) == 1
        outcome = Outcome(str(appeal.outcome))
        needed, forbidden = NEEDS[outcome]
        assert needed <= set(moments), (number, outcome, moments)
        assert not forbidden & set(moments), (number, outcome, moments)
        outcomes[outcome] += 1
        await recordings_match(call_center, number, moments)
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
    files = {path.name for path in call_center.settings.spool.glob("*.raw")}
    async with call_center.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT spool_name, state FROM recording")
        existing = {row.spool_name: row.state for row in rows}
    assert files <= set(existing), "a recording without a row"
    assert "recording" not in existing.values()


async def recordings_match(call_center: CallCenter, number: str, moments: list[str]) -> None:
    appeal = await call_center.appeal(number)
    rows = await call_center.recordings(appeal)
    assert len(rows) == moments.count(CallEvent.CONNECTED)
    assert moments.count(CallEvent.RECORDING_STARTED) == moments.count(CallEvent.RECORDING_STOPPED)
    for row in rows:
        # Who leaves as the conversation begins has sent nothing (docs/decisions/0074).
        assert row.state in {"closed", "empty"}
        assert row.ended_at is not None
