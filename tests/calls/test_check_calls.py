"""After real calls of every kind the register, the switch's ledger and the files agree."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from callcenter.ledger import comparing
from callcenter.ledger.differences import Difference, find
from callcenter.ledger.files import ledger_of
from callcenter.ledger.heard import Way
from callcenter.promises.states import State
from callcenter.storage.engine import unit_of_work
from tests.calls.fragile import both_hear
from tests.calls.house import House, until
from tests.calls.talking import a_moment, talking
from tests.calls.test_callbacks import attempts, became, owe, talk
from tests.calls.test_duty import dial
from tests.calls.test_outbound import dialling, refused
from tests.calls.test_outbound import ended as out_ended
from tests.calls.test_transfers import answered

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALKED, LEFT, TO_1414 = "+77060000001", "+77060000002", "+77060000003"
DIALLED, BUSY, OWED = "+77010600001", "+77010600002", "+77010600003"


async def compared(house: House, since: datetime) -> tuple[Counter[Way], list[Difference]]:
    """How many calls of each kind the switch had since then, and what differs."""
    told = await comparing.tell(
        house.settings,
        house.engine,
        ledger_of(house.settings),
        since=since,
        until=datetime.now(UTC),
        live=set(),
    )
    ways = Counter(call.way for call in told.switch if told.is_due(call.began_at))
    return ways, find(told)


async def agrees(house: House, since: datetime) -> Counter[Way]:
    """Wait until everything is written, and there is no difference; what it was about."""
    seen: list[tuple[Counter[Way], list[Difference]]] = []

    async def no_difference() -> bool:
        seen[:] = [await compared(house, since)]
        return not seen[0][1]

    try:
        await until(no_difference, "the register agrees with the switch")
    except AssertionError as exc:
        raise AssertionError([(each.kind, each.why) for each in seen[0][1]]) from exc
    return seen[0][0]


async def owed(house: House, number: str, since: datetime) -> None:
    """A promise from a call that began before."""
    promise_id = await owe(house, number)
    async with unit_of_work(house.engine) as connection:
        await connection.execute(
            text("UPDATE appeal SET received_at = :at, ended_at = :at WHERE caller_number = :who"),
            {"at": since.replace(year=since.year - 1), "who": number},
        )
    async with house.network(number) as network, house.consultant("201") as consultant:
        await talk(house, network, consultant)
    await became(house, promise_id, State.KEPT)


async def test_after_calls_of_every_kind_there_is_no_difference(house: House) -> None:
    await house.nothing_left()
    since = datetime.now(UTC)
    async with talking(house, TALKED) as spoken, house.consultant("204") as other:
        await a_moment()
        await spoken.consultant.press("*2204#")
        guest = await answered(await other.next_call())
        await asyncio.sleep(3)  # longer than what is tolerated
        await spoken.consultant.press("*7")
        await spoken.consultant.ended()
        await asyncio.sleep(3)
        await guest.hang_up()
        await spoken.caller.ended()
    async with house.caller(LEFT) as caller:
        await caller.hang_up()
    async with house.unified_center() as center, house.caller(TO_1414) as caller:
        await caller.press("23")
        await house.talk_shortly(await center.next_call(20))
        await caller.ended()
    assert await agrees(house, since) == {Way.IN: 3}
    async with house.consultant("201") as consultant:
        async with house.network(DIALLED) as phone, dialling(house, consultant, DIALLED) as leg:
            called = await phone.next_call()
            await called.answer()
            called.send_silence()
            await both_hear(called, leg)
            await asyncio.sleep(3)
            await called.hang_up()
            await leg.ended()
        async with house.network(BUSY) as phone, dialling(house, consultant, BUSY) as leg:
            await (await phone.next_call()).reject()
            await leg.ended()
        await refused(house, consultant, "999", "call_refused")
        await dial(house, consultant, "*11", "duty_ready")
    for number in (DIALLED, BUSY):
        await out_ended(house, number)
    await owed(house, OWED, since)

    async def is_over() -> bool:
        return await attempts(house, OWED) == ["talked"]

    await until(is_over, "the callback has its outcome")
    await house.nothing_left()
    assert await agrees(house, since) == {Way.IN: 3, Way.OUT: 3, Way.CODE: 2}
