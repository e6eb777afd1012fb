"""Consultants who call numbers (R10), on the real Asterisk: by dialling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals.calls import outbound_calls, store
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.appeals import newest_outgoing
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter, kinds
from tests.calls.disposable_stack import both_hear, hears_tone
from tests.calls.test_presence import becomes, presence_of
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

RINGING_TONE = 425.0


@asynccontextmanager
async def dialling(call_center: CallCenter, phone: Phone, number: str) -> AsyncIterator[SipCall]:
    """The consultant's leg of a call, once the line has answered it."""
    call = await phone.call(number)
    await call.answered()
    call.send_silence()
    try:
        yield call
    finally:
        await call.hang_up()


async def outgoing_of(call_center: CallCenter, number: str) -> OutboundCallRow | None:
    """The newest call that was made to a number."""
    async with unit_of_work(call_center.engine) as connection:
        return await newest_outgoing(connection, number)


async def ended(call_center: CallCenter, number: str) -> OutboundCallRow:
    found: list[OutboundCallRow] = []

    async def is_over() -> bool:
        found[:] = [c for c in [await outgoing_of(call_center, number)] if c and c.outcome]
        return bool(found)

    await until(is_over, f"the call to {number} has an outcome")
    return found[0]


async def moments_of(call_center: CallCenter, call: OutboundCallRow) -> list[str]:
    async with unit_of_work(call_center.engine) as connection:
        events = await store.events(connection, call.appeal_id)
    return [event.kind for event in events if event.seq >= call.first_seq]


async def refused(call_center: CallCenter, phone: Phone, number: str, prompt: str) -> None:
    """Dial and hear why not, in both languages."""
    call = await phone.call(number)
    await call.answered()
    call.send_silence()
    await call.ended(20)
    for language in ("kk", "ru"):
        assert call_center.was_heard(call, language, prompt), f"{language}/{prompt}"


async def test_a_consultant_dials_and_both_talk_recorded_after_the_notice(
    call_center: CallCenter,
) -> None:
    number = "+77010100001"
    async with (
        call_center.consultant("201") as consultant,
        call_center.network(number) as phone,
        dialling(call_center, consultant, "87010100001") as leg,
    ):
        called = await phone.next_call()
        assert called.invite is not None
        assert called.invite.uri.startswith(f"sip:{number}@")
        assert f"<sip:{call_center.settings.shown_number}@" in called.invite.need("From")
        assert (await presence_of(call_center, "201")).state is PresenceState.TALKING
        await hears_tone(leg, RINGING_TONE)
        await called.answer()
        await call_center.hears(called, "kk", "called_notice")
        await call_center.hears(called, "ru", "called_notice")
        await both_hear(called, leg)

        async def is_recorded() -> bool:
            live = await call_center.live_appeal(number)
            return live is not None and CallEvent.RECORDING_STARTED in await call_center.moments(
                live
            )

        await until(is_recorded, "the conversation is recorded")
        for _ in range(3):
            await both_hear(called, leg)
        await called.hang_up()
        await leg.ended()
    call = await ended(call_center, number)
    assert call.outcome == Outcome.TALKED
    assert await moments_of(call_center, call) == kinds(
        CallEvent.CALLING,
        CallEvent.REACHED,
        CallEvent.NOTICE,
        CallEvent.CONNECTED,
        CallEvent.RECORDING_STARTED,
        CallEvent.RECORDING_STOPPED,
        CallEvent.ENDED,
    )
    appeal = await call_center.appeal(number)
    assert (appeal.channel, appeal.outcome) == (outbound_calls.CHANNEL, Outcome.TALKED)
    assert appeal.consultant_extension == "201"
    assert number not in await call_center.story(number)
    (recording,) = await call_center.recordings(appeal)
    left, right = call_center.recorded(recording)
    middle = slice(len(left) // 3, 2 * len(left) // 3)
    assert loudness(left[middle], CALLER_TONE) > -25
    assert loudness(right[middle], CONSULTANT_TONE) > -25
    assert not call_center.was_heard(leg, "kk", "called_notice")


async def test_a_call_about_somebody_belongs_to_their_appeal(
    call_center: CallCenter,
) -> None:
    number = "+77010100002"
    async with call_center.consultant("201") as consultant:
        async with call_center.caller(number) as caller:
            await caller.press("0")
            leg = await consultant.next_call()
            await call_center.talk_shortly(leg)
        first = await call_center.appeal(number)
        async with (
            call_center.network(number) as phone,
            dialling(call_center, consultant, number) as leg,
        ):
            called = await phone.next_call()
            await called.reject()
            await call_center.hears(leg, "kk", "called_busy")
            await call_center.hears(leg, "ru", "called_busy")
            await leg.ended()
    call = await ended(call_center, number)
    assert (call.outcome, call.appeal_id) == (Outcome.NOT_REACHED, first.id)
    assert await moments_of(call_center, call) == kinds(
        CallEvent.CALLING, CallEvent.NOT_REACHED, CallEvent.ENDED
    )
    again = await call_center.appeal(number)
    assert (again.id, again.outcome) == (first.id, Outcome.TALKED)


async def test_no_caller_is_offered_meanwhile_and_the_next_is_afterwards(
    call_center: CallCenter,
) -> None:
    number = "+77010100003"
    async with (
        call_center.consultant("201") as consultant,
        call_center.network(number) as phone,
        dialling(call_center, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await called.answer()
        await call_center.hears_something(called)
        async with call_center.caller("+77010100004") as caller:
            await caller.press("0")
            await call_center.hears(caller, "kk", "queue_hold")
            assert (await presence_of(call_center, "201")).state is PresenceState.TALKING
            await leg.hang_up()
            await called.ended()
            served = await consultant.next_call()
            await call_center.talk_shortly(served)
    assert (await ended(call_center, number)).outcome in (Outcome.TALKED, Outcome.GIVEN_UP)
    assert (await call_center.appeal("+77010100004")).outcome == Outcome.TALKED


@pytest.mark.parametrize(
    "number", ["+79161234567", "810442079460000", "88091234567", "111", "999", "202", "100000000"]
)
async def test_what_may_not_be_called_is_refused_aloud(
    call_center: CallCenter, number: str
) -> None:
    async with call_center.consultant("201") as consultant:
        await refused(call_center, consultant, number, "call_refused")
    assert await outgoing_of(call_center, number) is None


async def test_who_signed_out_cannot_call(call_center: CallCenter) -> None:
    async with call_center.consultant("201") as consultant:
        for code in ("*13", "87010100005"):
            call = await consultant.call(code)
            await call.answered()
            call.send_silence()
            await call.ended(20)
        assert call_center.was_heard(call, "kk", "duty_refused")
        back = await consultant.call("*10")
        await back.ended(20)
        await becomes(call_center, "201", PresenceState.READY)
    assert await outgoing_of(call_center, "+77010100005") is None


async def test_who_signed_out_can_call_for_help(call_center: CallCenter) -> None:
    async with call_center.consultant("201") as consultant, call_center.network("103") as phone:
        out = await consultant.call("*13")
        await out.ended(20)
        async with dialling(call_center, consultant, "103") as leg:
            called = await phone.next_call()
            await called.answer()
            await both_hear(called, leg)
            await called.hang_up()
            await leg.ended()
        back = await consultant.call("*10")
        await back.ended(20)
        await becomes(call_center, "201", PresenceState.READY)
    assert (await ended(call_center, "103")).outcome == Outcome.TALKED


async def test_a_number_is_not_called_again_and_again(call_center: CallCenter) -> None:
    number = "+77010100006"
    async with call_center.consultant("201") as consultant:
        for _ in range(call_center.settings.calls_to_number):
            async with (
                call_center.network(number) as phone,
                dialling(call_center, consultant, number) as leg,
            ):
                await (await phone.next_call()).reject()
                await leg.ended()
        await refused(call_center, consultant, number, "call_too_often")


async def test_a_consultant_who_hangs_up_stops_the_ringing(call_center: CallCenter) -> None:
    number = "+77010100007"
    async with (
        call_center.consultant("201") as consultant,
        call_center.network(number) as phone,
        dialling(call_center, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await leg.hang_up()
        await called.ended()
    assert (await ended(call_center, number)).outcome == Outcome.GIVEN_UP


async def test_a_hangup_during_the_notice_is_not_reached(
    call_center: CallCenter,
) -> None:
    number = "+77010100008"
    async with (
        call_center.consultant("201") as consultant,
        call_center.network(number) as phone,
        dialling(call_center, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await called.answer()
        await call_center.hears_something(called)
        await called.hang_up()
        await call_center.hears(leg, "kk", "called_no_answer")
        await leg.ended()
    assert (await ended(call_center, number)).outcome == Outcome.NOT_REACHED


async def test_calls_in_both_directions_never_meet_at_one_consultant(
    call_center: CallCenter,
) -> None:
    """Whoever wins, the other is told or waits: nobody is lost and nothing is left."""
    for turn in range(4):
        number = f"+7701010001{turn}"
        caller_number = f"+7701010002{turn}"
        async with (
            call_center.consultant("201") as consultant,
            call_center.network(number) as phone,
            call_center.caller(caller_number) as caller,
        ):
            await caller.press("1")
            await call_center.hears(caller, "kk", "emergency_hint")
            dialled, _ = await asyncio.gather(consultant.call(number), caller.press("1"))
            await dialled.answered()
            dialled.send_silence()
            offered = asyncio.create_task(consultant.next_call())
            called = asyncio.create_task(phone.next_call())
            await asyncio.wait((offered, called), return_when=asyncio.FIRST_COMPLETED)
            if called.done():
                assert not offered.done()
                await called.result().reject()
                await dialled.ended(20)
                await call_center.talk_shortly(await offered)
            else:
                # It rings for two seconds, about as long as the refusal of the other is heard.
                await asyncio.gather(dialled.ended(20), call_center.talk_shortly(offered.result()))
                called.cancel()
        assert (await call_center.appeal(caller_number)).outcome == Outcome.TALKED
