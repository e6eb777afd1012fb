"""Messages are offered to consultants who are idle, and heard by telephone, on the real switch."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from callcenter.consultants.states import State as Doing
from callcenter.ledger.heard import Way
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.promises.states import State
from tests.calls.fragile import both_hear
from tests.calls.house import House, until
from tests.calls.messages import (
    audio_keeper,
    heard_by,
    hears_message,
    left,
    nothing_lies_there,
    state_of,
)
from tests.calls.test_callbacks import attempts, closed
from tests.calls.test_check_calls import agrees
from tests.calls.test_promises import forget_promises
from tests.calls.waiting import SEVERAL, hears_again, times

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def worker(house: House) -> AsyncIterator[None]:
    async with audio_keeper(house):
        yield
        await forget_promises(house)
        await nothing_lies_there(house)


async def test_an_idle_consultant_hears_a_message_and_says_that_it_is_done(house: House) -> None:
    number = "+77070000001"
    with times(house, key_timeout=5.0):
        message_id = await left(house, number, urgencies=[Urgency.DANGER])
        async with house.softphone("202") as consultant:
            await consultant.register()
            leg = await consultant.next_call(SEVERAL)
            assert leg.invite is not None
            assert "111 ru DANGER MESSAGE" in leg.invite.need("From")
            assert await heard_by(house, message_id) == []
            await hears_message(house, leg)
            assert await heard_by(house, message_id) == ["consultant:202"]
            await house.hears(leg, "ru", "hearing_keys")
            await nothing_lies_there(house)
            await leg.press("1")
            await hears_again(house, leg, "ru", "hearing_keys")
            await leg.press("2")
            await house.hears(leg, "ru", "hearing_done")
            await leg.ended()
    assert await state_of(house, message_id) is State.DONE
    assert await heard_by(house, message_id) == ["consultant:202"] * 2
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.MESSAGE
    told = [(event.kind, event.detail) for event in await house.events(appeal)]
    whose = {"consultant": "202"}
    assert told == [
        (Moment.MESSAGE_PLAYED, whose),
        (Moment.MESSAGE_PLAYED, whose),
        (Moment.MESSAGE_DONE, whose),
    ]


async def test_whoever_waits_is_served_before_a_message_that_was_left_earlier(
    house: House,
) -> None:
    with times(house, patience=60, ask_every=60.0):
        async with (
            house.paused_consultant("202") as duty,
            house.caller("+77070000003") as caller,
        ):
            message_id = await left(house, "+77070000002")

            async def waits() -> bool:
                return await house.redis.zscore("desk:waiting", f"message-{message_id}") is not None

            await until(waits, "the message waits at the desk")
            await caller.press("21")
            await house.hears(caller, "ru", "queue_hold")
            await duty.ask("202", Doing.READY, by="user:test")

            async def rings() -> bool:
                appeal = await house.live_appeal("+77070000003")
                return appeal is not None and Moment.RINGING in await house.moments(appeal)

            await until(rings, "the caller is served first")
            assert await waits()
            await caller.hang_up()


async def test_a_message_that_is_put_off_comes_again_and_so_does_one_that_was_hung_up_on(
    house: House,
) -> None:
    message_id = await left(house, "+77070000004")
    async with house.softphone("202") as consultant:
        await consultant.register()
        leg = await consultant.next_call(SEVERAL)
        await hears_message(house, leg)
        await leg.press("9")
        await house.hears(leg, "ru", "hearing_later")
        await leg.ended()
        again = await consultant.next_call(SEVERAL)
        await hears_message(house, again)
        await again.hang_up()
        await consultant.next_call(SEVERAL)
        assert await state_of(house, message_id) is State.OPEN


async def test_the_applicant_is_called_from_the_message_and_nothing_is_said_before_the_key(
    house: House,
) -> None:
    number, since = "+77070000005", datetime.now(UTC)
    message_id = await left(house, number, at=since - timedelta(days=365))
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        leg = await consultant.next_call(SEVERAL)
        await hears_message(house, leg)
        await leg.press("3")
        await house.hears(leg, "ru", "hearing_call")
        await leg.hang_up()
        applicant = await network.next_call(SEVERAL)
        await applicant.answer()
        applicant.send_silence()
        await house.hears(applicant, "ru", "callback_neutral")
        await applicant.press("1")
        await house.hears(applicant, "ru", "recording_notice")
        talking = await consultant.next_call(SEVERAL)
        await talking.answer()
        await both_hear(applicant, talking)
        await talking.hang_up()
        await applicant.ended()
    await until(lambda: closed(house, number), "the call has an outcome")
    assert await attempts(house, number) == [Outcome.TALKED]
    assert await state_of(house, message_id) is State.KEPT
    # That a consultant was rung to hear a message is no call of anybody, nor a conversation.
    await house.nothing_left()
    assert await agrees(house, since) == {Way.INSIDE: 1, Way.OUT: 1}


async def test_who_cannot_be_called_is_not_and_the_message_stays(house: House) -> None:
    message_id = await left(house, "900")
    with times(house, key_timeout=5.0):
        async with house.softphone("202") as consultant:
            await consultant.register()
            leg = await consultant.next_call(SEVERAL)
            await hears_message(house, leg)
            await leg.press("3")
            await house.hears(leg, "ru", "call_refused")
            await leg.hang_up()
    assert await state_of(house, message_id) is State.OPEN
    assert await attempts(house, "900") == []
