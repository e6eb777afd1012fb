"""After real calls of every kind the register, the CEL log and the files agree."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.reconciliation import loader
from callcenter.telephony.reconciliation.cel_calls import CallRole
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.rules import Discrepancy, find
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.talking import a_moment, talking
from tests.calls.test_callbacks import attempts, became, owe, talk
from tests.calls.test_outbound import dialling, refused
from tests.calls.test_outbound import ended as out_ended
from tests.calls.test_presence import dial
from tests.calls.test_transfers import answered
from tests.calls.waiting import SEVERAL, times
from tests.polling import NotInTime, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALKED, LEFT, TO_1414 = "+77060000001", "+77060000002", "+77060000003"
DIALLED, BUSY, DUE = "+77010600001", "+77010600002", "+77010600003"


async def compared(
    call_center: CallCenter, since: datetime
) -> tuple[Counter[CallRole], list[Discrepancy]]:
    """How many calls of each kind the switch had since then, and what differs."""
    reported = await loader.load_snapshot(
        call_center.settings,
        call_center.engine,
        cel_file_of(call_center.settings),
        since=since,
        until=datetime.now(UTC),
        live_channels=set(),
    )
    roles = Counter(call.role for call in reported.switch if reported.is_due(call.began_at))
    return roles, find(reported)


async def agrees(call_center: CallCenter, since: datetime) -> Counter[CallRole]:
    """Wait until everything is written, and there is no difference; what it was about."""
    seen: list[tuple[Counter[CallRole], list[Discrepancy]]] = []

    async def no_difference() -> bool:
        seen[:] = [await compared(call_center, since)]
        return not seen[0][1]

    try:
        await until(no_difference, "the register agrees with the switch")
    except NotInTime as exc:
        raise AssertionError([(each.kind, each.why) for each in seen[0][1]]) from exc
    return seen[0][0]


async def due(call_center: CallCenter, number: str, since: datetime) -> None:
    """A promise from a call that began before."""
    promise_id = await owe(call_center, number)
    async with unit_of_work(call_center.engine) as connection:
        await connection.execute(
            text("UPDATE appeal SET received_at = :at, ended_at = :at WHERE caller_number = :who"),
            {"at": since.replace(year=since.year - 1), "who": number},
        )
    async with call_center.network(number) as network, call_center.softphone("201") as consultant:
        await consultant.register()  # and is offered the promise, before anybody sees them idle
        await talk(call_center, network, consultant)
    await became(call_center, promise_id, CallbackState.REACHED)


async def test_after_calls_of_every_kind_there_is_no_difference(call_center: CallCenter) -> None:
    await call_center.assert_no_resources_left()
    since = datetime.now(UTC)
    async with talking(call_center, TALKED) as spoken, call_center.consultant("204") as other:
        await a_moment()
        await spoken.consultant.press("*2204#")
        third_party = await answered(await other.next_call())
        await asyncio.sleep(3)  # longer than what is tolerated
        await spoken.consultant.press("*7")
        await spoken.consultant.ended()
        await asyncio.sleep(3)
        await third_party.hang_up()
        await spoken.caller.ended()
    async with call_center.caller(LEFT) as caller:
        await caller.hang_up()
    with times(call_center, unified_ring_timeout=SEVERAL):  # else a busy machine answers too late
        async with call_center.unified_center() as center, call_center.caller(TO_1414) as caller:
            await caller.press("23")
            await call_center.talk_shortly(await center.next_call(20))
            await caller.ended()
    assert await agrees(call_center, since) == {CallRole.IN: 3}
    async with call_center.consultant("201") as consultant:
        async with (
            call_center.network(DIALLED) as phone,
            dialling(call_center, consultant, DIALLED) as leg,
        ):
            called = await phone.next_call()
            await called.answer()
            called.send_silence()
            await both_hear(called, leg)
            await asyncio.sleep(3)
            await called.hang_up()
            await leg.ended()
        async with (
            call_center.network(BUSY) as phone,
            dialling(call_center, consultant, BUSY) as leg,
        ):
            await (await phone.next_call()).reject()
            await leg.ended()
        await refused(call_center, consultant, "999", "call_refused")
        await dial(call_center, consultant, "*11", "duty_ready")
    for number in (DIALLED, BUSY):
        await out_ended(call_center, number)
    await due(call_center, DUE, since)

    async def is_over() -> bool:
        return await attempts(call_center, DUE) == ["talked"]

    await until(is_over, "the callback has its outcome")
    await call_center.assert_no_resources_left()
    assert await agrees(call_center, since) == {CallRole.IN: 3, CallRole.OUT: 3, CallRole.CODE: 2}
