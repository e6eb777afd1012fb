"""A consultant's telephone that began anew is rung once more, and has its conversation back."""

import asyncio
import time

import pytest

from callcenter.telephony.acd.rules.call_commands import CommandRefused
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.talking import hears_tone, longest_silence, order
from tests.polling import require_within

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_ring_again_returns_the_caller_after_music(
    call_center: CallCenter,
) -> None:
    number = "+77013100001"
    async with call_center.consultant() as phone, call_center.caller(number) as caller:
        await caller.press("11")
        first = await phone.next_call()
        await first.answer()
        caller.send_tone(CALLER_TONE)
        first.send_tone(CONSULTANT_TONE)
        await hears_tone(first, CALLER_TONE)
        await call_center.takes_orders("201")
        since = time.monotonic()
        await order(call_center, "201", "ring_again")
        second = await phone.next_call()
        await second.answer()
        second.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await hears_tone(second, CALLER_TONE)
        require_within(longest_silence(caller, since), 0.5, "silence")
        await second.hang_up()
        await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == "talked"
    assert [each.state for each in await call_center.recordings(appeal)] == ["closed", "closed"]


async def test_who_does_not_answer_again_loses_the_caller_to_another(
    call_center: CallCenter,
) -> None:
    async with call_center.consultant() as phone, call_center.caller("+77013100002") as caller:
        await caller.press("11")
        leg = await phone.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        await call_center.takes_orders("201")
        async with call_center.consultant("204") as other:
            await order(call_center, "201", "ring_again")
            await (await phone.next_call()).reject(486)
            await call_center.hears(caller, "kk", "consultant_lost")
            await call_center.talk_shortly(await other.next_call())
            await caller.ended()


async def test_a_caller_who_leaves_meanwhile_leaves_nothing_behind(call_center: CallCenter) -> None:
    async with call_center.consultant() as phone, call_center.caller("+77013100003") as caller:
        await caller.press("11")
        leg = await phone.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        await call_center.takes_orders("201")
        await order(call_center, "201", "ring_again")
        again = await phone.next_call()
        with pytest.raises(CommandRefused):  # nobody is rung twice at once
            await order(call_center, "201", "ring_again")
        await caller.hang_up()
        await asyncio.wait_for(again.ended(), 5)
