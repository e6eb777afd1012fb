"""Calls that we make to the telephone network, on the real Asterisk."""

import asyncio

import pytest

from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.ports import NotAnswered
from tests.calls.call_center import CallCenter

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_number_is_called_by_trunk_with_our_shown_number(
    call_center: CallCenter,
) -> None:
    board = call_center.controllers[0].switch
    async with call_center.network("+77017654321") as phone, asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(_answered(phone))
        async with board.call_number("+77017654321", "111", 10):
            called = await answering
            assert called.invite is not None
            assert "<sip:111@" in called.invite.need("From")
            assert called.invite.uri.startswith("sip:+77017654321@")
        await called.ended()
    await call_center.assert_no_resources_left()


async def _answered(phone: Phone) -> SipCall:
    called = await phone.next_call()
    await called.answer()
    return called


@pytest.mark.parametrize("number", ["", "12345678901234567", "77;x", "1@evil", "+7701\n", "1{"])
async def test_what_is_no_number_is_not_called(call_center: CallCenter, number: str) -> None:
    board = call_center.controllers[0].switch
    with pytest.raises(NotAnswered, match="no_number"):
        async with board.call_number(number, "111", 10):
            pass
