"""Calls that consultants ask for from the pages: their own telephone is first."""

import pytest

from callcenter.appeals import outgoing
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.consultants.states import State
from callcenter.dialling.asking import CALL
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.calls.fragile import both_hear, connected
from tests.calls.house import House, kinds
from tests.calls.test_duty import duty
from tests.calls.test_outbound import ended, moments_of, outgoing_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(house: House, extension: str = "201", **detail: str) -> Answer:
    order = Order(CALL, "user:test", {"extension": extension, **detail}, extension)
    return await Dispatch(house.redis).to_a_controller(order)


async def left_waiting(house: House, number: str) -> str:
    """The number of the appeal of a caller who left before anybody answered."""
    async with house.caller(number) as caller:
        await caller.press("2")
        await house.hears(caller, "ru", "emergency_hint")
    return (await house.appeal(number)).number


async def test_a_caller_who_was_lost_is_rung_back_in_one_action(house: House) -> None:
    number = "+77010200001"
    appeal = await left_waiting(house, number)
    async with house.consultant("201") as consultant, house.network(number) as phone:
        begun = await ask(house, appeal=appeal)
        assert begun["appeal"] == appeal
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 CALL" in leg.invite.need("From")
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await house.hears(called, "ru", "called_notice")
        await both_hear(called, leg)
        assert (await duty(house, "201")).state is State.TALKING
        assert not house.was_heard(called, "kk", "called_notice")
        # All that can be done with a caller can be done with somebody who was called.
        dispatch = Dispatch(house.redis)
        assert (await dispatch.to_consultant("201", Order("hold", "self")))["caller"] == "aside"
        assert (await dispatch.to_consultant("201", Order("resume", "self")))["caller"] == "here"
        await both_hear(called, leg)
        await leg.hang_up()
        await called.ended()
    call = await ended(house, number)
    assert (str(call.id), call.outcome) == (begun["call"], Outcome.TALKED)
    row = await house.appeal(number)
    assert (row.number, row.outcome) == (appeal, Outcome.LEFT_IN_MENU)
    assert row.consultant_extension == "201"


async def test_whose_telephone_died_in_the_conversation_is_rung_back_in_one_action(
    house: House,
) -> None:
    number = "+77010200006"
    async with house.consultant("201") as consultant, house.network(number) as phone:
        async with house.caller(number) as caller:
            leg = await connected(house, caller, consultant)
            await caller.hang_up("Q.850;cause=38")
            await leg.ended()
        appeal = await house.appeal(number)
        assert Moment.CALLER_LOST in await house.moments(appeal)
        begun = await ask(house, appeal=appeal.number)
        leg = await consultant.next_call()
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        await leg.hang_up()
        await called.ended()
    call = await ended(house, number)
    assert (str(call.id), call.appeal_id, call.outcome) == (
        begun["call"],
        appeal.id,
        Outcome.TALKED,
    )
    assert len(await house.recordings(appeal)) == 2


async def test_a_consultant_who_does_not_pick_up_calls_nobody(house: House) -> None:
    number = "+77010200002"
    async with house.consultant("201") as consultant, house.network(number):
        await ask(house, number=number)
        leg = await consultant.next_call()
        await leg.reject()
        call = await ended(house, number)
        assert call.outcome == Outcome.GIVEN_UP
        assert await moments_of(house, call) == kinds(
            Moment.CALLING, Moment.UNANSWERED, Moment.ENDED
        )


async def test_who_asked_not_to_be_called_is_called_only_despite_the_wish(house: House) -> None:
    number = "+77010200003"
    appeal = await left_waiting(house, number)
    async with unit_of_work(house.engine) as connection:
        await outgoing.want_no_calls(connection, number, unwanted=True, author="user:test")
    async with house.consultant("201") as consultant:
        with pytest.raises(OrderRefused, match="asked not to be called"):
            await ask(house, appeal=appeal)
        dialled = await consultant.call(number)
        await dialled.answered()
        dialled.send_silence()
        await dialled.ended(20)
        assert house.was_heard(dialled, "ru", "call_unwanted")
        assert await outgoing_of(house, number) is None
        async with house.network(number) as phone:
            await ask(house, appeal=appeal, despite_wish="yes")
            leg = await consultant.next_call()
            await leg.answer()
            leg.send_silence()
            called = await phone.next_call()
            await called.reject(603)
            await leg.ended(20)
    assert (await ended(house, number)).outcome == Outcome.NOT_REACHED


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"number": "+79161234567"}, "does not call abroad"),
        ({"number": "87010200004", "extension": "999"}, "no active consultant"),
        ({"number": "87010200004", "extension": "202"}, "who is signed_out cannot call"),
        ({"appeal": "2699999999"}, "mistake|no appeal"),
        ({"appeal": "'; --"}, "ten digits"),
        ({}, "say which number"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    house: House, detail: dict[str, str], why: str
) -> None:
    async with house.consultant("201"):
        with pytest.raises(OrderRefused, match=why):
            await ask(house, **detail)
        assert (await duty(house, "201")).state is State.READY


async def test_a_caller_who_is_on_the_line_is_not_rung_back(house: House) -> None:
    number = "+77010200005"
    async with house.consultant("201"), house.caller(number) as caller:
        await caller.press("2")
        await house.hears(caller, "ru", "emergency_hint")
        live = await house.live_appeal(number)
        assert live is not None
        with pytest.raises(OrderRefused, match="on the line"):
            await ask(house, appeal=live.number)
