"""Consultants who call numbers (R10), on the real Asterisk: by dialling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals import outgoing, store
from callcenter.appeals.outgoing import Outgoing
from callcenter.consultants.states import State
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.calls.fragile import both_hear, hears_tone
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House, kinds, until
from tests.calls.test_duty import becomes, duty

pytestmark = pytest.mark.asyncio(loop_scope="session")

RINGING_TONE = 425.0


@asynccontextmanager
async def dialling(house: House, phone: Phone, number: str) -> AsyncIterator[Call]:
    """The consultant's leg of a call, once the line has answered it."""
    call = await phone.call(number)
    await call.answered()
    call.send_silence()
    try:
        yield call
    finally:
        await call.hang_up()


async def outgoing_of(house: House, number: str) -> Outgoing | None:
    """The newest call that was made to a number."""
    async with unit_of_work(house.engine) as connection:
        return await outgoing.last_to(connection, number)


async def ended(house: House, number: str) -> Outgoing:
    found: list[Outgoing] = []

    async def is_over() -> bool:
        found[:] = [c for c in [await outgoing_of(house, number)] if c and c.outcome]
        return bool(found)

    await until(is_over, f"the call to {number} has an outcome")
    return found[0]


async def moments_of(house: House, call: Outgoing) -> list[str]:
    async with unit_of_work(house.engine) as connection:
        events = await store.events(connection, call.appeal_id)
    return [event.kind for event in events if event.seq >= call.first_moment]


async def refused(house: House, phone: Phone, number: str, prompt: str) -> None:
    """Dial and hear why not, in both languages."""
    call = await phone.call(number)
    await call.answered()
    call.send_silence()
    await call.ended(20)
    for language in ("kk", "ru"):
        assert house.was_heard(call, language, prompt), f"{language}/{prompt}"


async def test_a_consultant_dials_and_both_talk_recorded_after_the_notice(house: House) -> None:
    number = "+77010100001"
    async with (
        house.consultant("201") as consultant,
        house.network(number) as phone,
        dialling(house, consultant, "87010100001") as leg,
    ):
        called = await phone.next_call()
        assert called.invite is not None
        assert called.invite.uri.startswith(f"sip:{number}@")
        assert f"<sip:{house.settings.shown_number}@" in called.invite.need("From")
        assert (await duty(house, "201")).state is State.TALKING
        await hears_tone(leg, RINGING_TONE)
        await called.answer()
        await house.hears(called, "kk", "called_notice")
        await house.hears(called, "ru", "called_notice")
        await both_hear(called, leg)

        async def is_recorded() -> bool:
            live = await house.live_appeal(number)
            return live is not None and Moment.RECORDING_STARTED in await house.moments(live)

        await until(is_recorded, "the conversation is recorded")
        for _ in range(3):
            await both_hear(called, leg)
        await called.hang_up()
        await leg.ended()
    call = await ended(house, number)
    assert call.outcome == Outcome.TALKED
    assert await moments_of(house, call) == kinds(
        Moment.CALLING,
        Moment.REACHED,
        Moment.NOTICE,
        Moment.CONNECTED,
        Moment.RECORDING_STARTED,
        Moment.RECORDING_STOPPED,
        Moment.ENDED,
    )
    appeal = await house.appeal(number)
    assert (appeal.channel, appeal.outcome) == (outgoing.CHANNEL, Outcome.TALKED)
    assert appeal.consultant_extension == "201"
    assert number not in await house.story(number)
    (recording,) = await house.recordings(appeal)
    left, right = house.recorded(recording)
    middle = slice(len(left) // 3, 2 * len(left) // 3)
    assert loudness(left[middle], CALLER_TONE) > -25
    assert loudness(right[middle], CONSULTANT_TONE) > -25
    assert not house.was_heard(leg, "kk", "called_notice")


async def test_a_call_about_somebody_goes_to_their_appeal_whose_outcome_stays(
    house: House,
) -> None:
    number = "+77010100002"
    async with house.consultant("201") as consultant:
        async with house.caller(number) as caller:
            await caller.press("0")
            leg = await consultant.next_call()
            await house.talk_shortly(leg)
        first = await house.appeal(number)
        async with (
            house.network(number) as phone,
            dialling(house, consultant, number) as leg,
        ):
            called = await phone.next_call()
            await called.reject()
            await house.hears(leg, "kk", "called_busy")
            await house.hears(leg, "ru", "called_busy")
            await leg.ended()
    call = await ended(house, number)
    assert (call.outcome, call.appeal_id) == (Outcome.NOT_REACHED, first.id)
    assert await moments_of(house, call) == kinds(Moment.CALLING, Moment.NOT_REACHED, Moment.ENDED)
    again = await house.appeal(number)
    assert (again.id, again.outcome) == (first.id, Outcome.TALKED)


async def test_no_caller_is_offered_meanwhile_and_the_next_is_afterwards(house: House) -> None:
    number = "+77010100003"
    async with (
        house.consultant("201") as consultant,
        house.network(number) as phone,
        dialling(house, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await called.answer()
        await house.hears_something(called)
        async with house.caller("+77010100004") as caller:
            await caller.press("0")
            await house.hears(caller, "kk", "queue_hold")
            assert (await duty(house, "201")).state is State.TALKING
            await leg.hang_up()
            await called.ended()
            served = await consultant.next_call()
            await house.talk_shortly(served)
    assert (await ended(house, number)).outcome in (Outcome.TALKED, Outcome.GIVEN_UP)
    assert (await house.appeal("+77010100004")).outcome == Outcome.TALKED


@pytest.mark.parametrize(
    "number", ["+79161234567", "810442079460000", "88091234567", "111", "999", "202", "100000000"]
)
async def test_what_may_not_be_called_is_refused_aloud(house: House, number: str) -> None:
    async with house.consultant("201") as consultant:
        await refused(house, consultant, number, "call_refused")
    assert await outgoing_of(house, number) is None


async def test_who_signed_out_cannot_call(house: House) -> None:
    async with house.consultant("201") as consultant:
        for code in ("*13", "87010100005"):
            call = await consultant.call(code)
            await call.answered()
            call.send_silence()
            await call.ended(20)
        assert house.was_heard(call, "kk", "duty_refused")
        back = await consultant.call("*10")
        await back.ended(20)
        await becomes(house, "201", State.READY)
    assert await outgoing_of(house, "+77010100005") is None


async def test_who_signed_out_can_call_for_help(house: House) -> None:
    async with house.consultant("201") as consultant, house.network("103") as phone:
        out = await consultant.call("*13")
        await out.ended(20)
        async with dialling(house, consultant, "103") as leg:
            called = await phone.next_call()
            await called.answer()
            await both_hear(called, leg)
            await called.hang_up()
            await leg.ended()
        back = await consultant.call("*10")
        await back.ended(20)
        await becomes(house, "201", State.READY)
    assert (await ended(house, "103")).outcome == Outcome.TALKED


async def test_a_number_is_not_called_again_and_again(house: House) -> None:
    number = "+77010100006"
    async with house.consultant("201") as consultant:
        for _ in range(house.settings.calls_to_number):
            async with (
                house.network(number) as phone,
                dialling(house, consultant, number) as leg,
            ):
                await (await phone.next_call()).reject()
                await leg.ended()
        await refused(house, consultant, number, "call_too_often")


async def test_a_consultant_who_hangs_up_stops_the_ringing(house: House) -> None:
    number = "+77010100007"
    async with (
        house.consultant("201") as consultant,
        house.network(number) as phone,
        dialling(house, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await leg.hang_up()
        await called.ended()
    assert (await ended(house, number)).outcome == Outcome.GIVEN_UP


async def test_who_is_called_and_hangs_up_in_the_notice_was_not_reached(house: House) -> None:
    number = "+77010100008"
    async with (
        house.consultant("201") as consultant,
        house.network(number) as phone,
        dialling(house, consultant, number) as leg,
    ):
        called = await phone.next_call()
        await called.answer()
        await house.hears_something(called)
        await called.hang_up()
        await house.hears(leg, "kk", "called_no_answer")
        await leg.ended()
    assert (await ended(house, number)).outcome == Outcome.NOT_REACHED


async def test_calls_and_callers_at_the_same_time_never_meet_at_one_consultant(
    house: House,
) -> None:
    """Whoever wins, the other is told or waits: nobody is lost and nothing is left."""
    for turn in range(4):
        number = f"+7701010001{turn}"
        caller_number = f"+7701010002{turn}"
        async with (
            house.consultant("201") as consultant,
            house.network(number) as phone,
            house.caller(caller_number) as caller,
        ):
            await caller.press("1")
            await house.hears(caller, "kk", "emergency_hint")
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
                await house.talk_shortly(await offered)
            else:
                await dialled.ended(20)
                await house.talk_shortly(offered.result())
                called.cancel()
        assert (await house.appeal(caller_number)).outcome == Outcome.TALKED
