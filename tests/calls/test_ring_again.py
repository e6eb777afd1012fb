"""A consultant's telephone that began anew is rung once more, and has its conversation back."""

import asyncio
import time

import pytest

from callcenter.consultants.orders import OrderRefused
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House
from tests.calls.talking import hears_tone, longest_silence, order

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_is_rung_again_has_the_caller_back_who_heard_music(house: House) -> None:
    number = "+77013100001"
    async with house.consultant() as phone, house.caller(number) as caller:
        await caller.press("0")
        first = await phone.next_call()
        await first.answer()
        caller.send_tone(CALLER_TONE)
        first.send_tone(CONSULTANT_TONE)
        await hears_tone(first, CALLER_TONE)
        since = time.monotonic()
        await order(house, "201", "ring_again")
        second = await phone.next_call()
        await second.answer()
        second.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await hears_tone(second, CALLER_TONE)
        assert longest_silence(caller, since) < 0.5
        await second.hang_up()
        await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == "talked"
    assert [each.state for each in await house.recordings(appeal)] == ["closed", "closed"]


async def test_who_does_not_answer_again_loses_the_caller_to_another(house: House) -> None:
    async with house.consultant() as phone, house.caller("+77013100002") as caller:
        await caller.press("0")
        leg = await phone.next_call()
        await leg.answer()
        await house.hears_something(leg)
        async with house.consultant("204") as other:
            await order(house, "201", "ring_again")
            await (await phone.next_call()).reject(486)
            await house.hears(caller, "kk", "consultant_lost")
            await house.talk_shortly(await other.next_call())
            await caller.ended()


async def test_a_caller_who_leaves_meanwhile_leaves_nothing_behind(house: House) -> None:
    async with house.consultant() as phone, house.caller("+77013100003") as caller:
        await caller.press("0")
        leg = await phone.next_call()
        await leg.answer()
        await house.hears_something(leg)
        await order(house, "201", "ring_again")
        again = await phone.next_call()
        with pytest.raises(OrderRefused):  # nobody is rung twice at once
            await order(house, "201", "ring_again")
        await caller.hang_up()
        await asyncio.wait_for(again.ended(), 5)
