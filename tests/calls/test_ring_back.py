"""Calls that consultants ask for from the pages: their own telephone is first."""

from datetime import UTC, datetime

import pytest

from callcenter.appeals.contact import store as contact_store
from callcenter.appeals.contact.rules import EVERY, SOMEBODY, ContactWish
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.outbound.service import CALL
from tests.calls.call_center import CallCenter, kinds
from tests.calls.disposable_stack import both_hear, connected
from tests.calls.test_outbound import ended, moments_of, outgoing_of
from tests.calls.test_presence import presence_of
from tests.orders import command_client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(call_center: CallCenter, extension: str = "201", **detail: str) -> Answer:
    order = CallCommand(CALL, "user:test", {"extension": extension, **detail}, extension)
    return await command_client(call_center.redis).send_to_any_controller(order)


async def left_waiting(call_center: CallCenter, number: str) -> str:
    """The number of the appeal of a caller who left before anybody answered."""
    async with call_center.caller(number) as caller:
        await caller.press("2")
        await call_center.hears(caller, "ru", "emergency_hint")
    return (await call_center.appeal(number)).number


async def test_a_lost_caller_is_rung_back_in_one_action(call_center: CallCenter) -> None:
    number = "+77010200001"
    appeal = await left_waiting(call_center, number)
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
        begun = await ask(call_center, appeal=appeal)
        assert begun["appeal"] == appeal
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 CALL" in leg.invite.need("From")
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await call_center.hears(called, "ru", "called_notice")
        await both_hear(called, leg)
        assert (await presence_of(call_center, "201")).state is PresenceState.TALKING
        assert not call_center.was_heard(called, "kk", "called_notice")
        # All that can be done with a caller can be done with somebody who was called.
        dispatch = command_client(call_center.redis)
        assert (await dispatch.send_to_consultant("201", CallCommand("hold", "self")))[
            "caller"
        ] == "aside"
        assert (await dispatch.send_to_consultant("201", CallCommand("resume", "self")))[
            "caller"
        ] == "here"
        await both_hear(called, leg)
        await leg.hang_up()
        await called.ended()
    call = await ended(call_center, number)
    assert (str(call.id), call.outcome) == (begun["call"], Outcome.TALKED)
    row = await call_center.appeal(number)
    assert (row.number, row.outcome) == (appeal, Outcome.LEFT_IN_MENU)
    assert row.consultant_extension == "201"


async def test_a_caller_of_a_dead_telephone_is_rung_back(
    call_center: CallCenter,
) -> None:
    number = "+77010200006"
    async with call_center.consultant("201") as consultant, call_center.network(number) as phone:
        async with call_center.caller(number) as caller:
            leg = await connected(call_center, caller, consultant)
            await caller.hang_up("Q.850;cause=38")
            await leg.ended()
        appeal = await call_center.appeal(number)
        assert CallEvent.CALLER_LOST in await call_center.moments(appeal)
        begun = await ask(call_center, appeal=appeal.number)
        leg = await consultant.next_call()
        await leg.answer()
        called = await phone.next_call()
        await called.answer()
        await both_hear(called, leg)
        await leg.hang_up()
        await called.ended()
    call = await ended(call_center, number)
    assert (str(call.id), call.appeal_id, call.outcome) == (
        begun["call"],
        appeal.id,
        Outcome.TALKED,
    )
    assert len(await call_center.recordings(appeal)) == 2


async def test_a_consultant_who_does_not_pick_up_calls_nobody(call_center: CallCenter) -> None:
    number = "+77010200002"
    async with call_center.consultant("201") as consultant, call_center.network(number):
        await ask(call_center, number=number)
        leg = await consultant.next_call()
        await leg.reject()
        call = await ended(call_center, number)
        assert call.outcome == Outcome.GIVEN_UP
        assert await moments_of(call_center, call) == kinds(
            CallEvent.CALLING, CallEvent.UNANSWERED, CallEvent.ENDED
        )


async def test_who_declined_calls_is_called_only_despite_the_wish(
    call_center: CallCenter,
) -> None:
    number = "+77010200003"
    appeal = await left_waiting(call_center, number)
    async with unit_of_work(call_center.engine) as connection:
        await contact_store.add(
            connection,
            (await call_center.appeal(number)).id,
            [ContactWish(SOMEBODY, None, EVERY, False, datetime.now(UTC))],
        )
    async with call_center.consultant("201") as consultant:
        with pytest.raises(CommandRefused, match="asked not to be called"):
            await ask(call_center, appeal=appeal)
        dialled = await consultant.call(number)
        await dialled.answered()
        dialled.send_silence()
        await dialled.ended(20)
        assert call_center.was_heard(dialled, "ru", "call_unwanted")
        assert await outgoing_of(call_center, number) is None
        async with call_center.network(number) as phone:
            await ask(call_center, appeal=appeal, despite_wish="yes")
            leg = await consultant.next_call()
            await leg.answer()
            leg.send_silence()
            called = await phone.next_call()
            await called.reject(603)
            await leg.ended(20)
    assert (await ended(call_center, number)).outcome == Outcome.NOT_REACHED


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"number": "+79161234567"}, "does not call abroad"),
        ({"number": "87010200004", "extension": "999"}, "no active consultant"),
        ({"number": "87010200004", "extension": "202"}, "who is signed_out cannot get a call now"),
        ({"appeal": "2699999999"}, "mistake|no appeal"),
        ({"appeal": "'; --"}, "eleven digits"),
        ({}, "say which number"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    call_center: CallCenter, detail: dict[str, str], why: str
) -> None:
    async with call_center.consultant("201"):
        with pytest.raises(CommandRefused, match=why):
            await ask(call_center, **detail)
        assert (await presence_of(call_center, "201")).state is PresenceState.READY


async def test_a_caller_on_the_line_is_not_rung_back(call_center: CallCenter) -> None:
    number = "+77010200005"
    async with call_center.consultant("201"), call_center.caller(number) as caller:
        await caller.press("2")
        await call_center.hears(caller, "ru", "emergency_hint")
        live = await call_center.live_appeal(number)
        assert live is not None
        with pytest.raises(CommandRefused, match="on the line"):
            await ask(call_center, appeal=live.number)
