"""Hostile and odd SIP while controllers serve calls (item 15): the next caller is always served."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from callcenter.platform.storage.jobs import WorkerResources
from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.errors import Refused
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.asterisk import hostile
from tests.asterisk.switch import STRANGER
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter, last_sound
from tests.calls.disposable_stack import both_hear
from tests.calls.talking import talking
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVIL = "+77010000000"  #: the caller that tests.asterisk.hostile pretends to be


@pytest_asyncio.fixture(loop_scope="session")
async def attacked(call_center: CallCenter) -> AsyncIterator[CallCenter]:
    """The call center; after the attack the same Asterisk serves the next ordinary caller."""
    before = call_center.switch.pid
    yield call_center
    async with talking(call_center, "+77040000000") as talk:
        await talk.consultant.hang_up()
        await talk.caller.ended()
    assert (await call_center.appeal("+77040000000")).outcome == Outcome.TALKED
    assert call_center.switch.pid == before


async def outcomes(call_center: CallCenter, number: str | None = None) -> list[str]:
    """Of all appeals in their order, or of those of one caller, once all have one."""
    query = "SELECT outcome FROM appeal"
    if number is not None:
        query += f" WHERE caller_number = '{number}'"
    found: list[str] = []

    async def all_have_one() -> bool:
        async with call_center.engine.connect() as connection:
            rows = await connection.exec_driver_sql(f"{query} ORDER BY received_at")
            found[:] = list(rows.scalars())
        return None not in found

    await call_center.switch.assert_no_resources_left()
    for controller in call_center.controllers:
        await controller.journal.flush()
    # Who hangs up in the moment of the answer has gone before a controller has the call.
    await account_for_calls(WorkerResources(call_center.settings, call_center.engine), timedelta())
    await until(all_have_one, "every appeal has an outcome")
    return found


async def test_no_appeal_comes_of_a_malformed_invite(attacked: CallCenter) -> None:
    before = len(await outcomes(attacked))
    await hostile.malformed_invites(attacked.switch.sip)
    assert len(await outcomes(attacked)) == before


async def test_an_odd_or_oversized_invite_is_answered_with_an_outcome(
    attacked: CallCenter,
) -> None:
    before = len(await outcomes(attacked, EVIL))
    for mangle in hostile.ODD.values():
        assert await hostile.invite(attacked.switch.sip, mangle=mangle) == 200
    new = (await outcomes(attacked))[-len(hostile.ODD) :]
    assert set(new) == {Outcome.LEFT_IN_GREETING}
    # The name in no encoding may have cost one of them its number, and no more.
    assert len(await outcomes(attacked, EVIL)) - before >= len(hostile.ODD) - 1


async def test_unknown_codecs_are_refused_without_an_appeal(attacked: CallCenter) -> None:
    before = len(await outcomes(attacked))
    assert await hostile.invite_with_unknown_codecs(attacked.switch.sip) == 488
    assert len(await outcomes(attacked)) == before


async def test_a_reinvite_with_unknown_codecs_is_refused(
    attacked: CallCenter,
) -> None:
    before = len(await outcomes(attacked))
    assert await hostile.reinvite_with_unknown_codecs(attacked.switch.sip) == 488
    assert (await outcomes(attacked))[before:] == [Outcome.LEFT_IN_GREETING]


async def test_an_invite_without_offer_is_served_like_any_other(
    attacked: CallCenter,
) -> None:
    async with attacked.phone("+77040000001") as phone:
        call = await phone.call("111", sdp=False)
        await call.answered()
        await attacked.hears(call, "kk", "greeting")
        await call.press("2")
        await attacked.hears(call, "ru", "emergency_hint")
    assert (await attacked.appeal("+77040000001")).language == "ru"


async def test_a_call_without_any_description_ends_like_any_other(attacked: CallCenter) -> None:
    before = len(await outcomes(attacked))
    assert await hostile.invite_without_any_description(attacked.switch.sip) == 200
    assert (await outcomes(attacked))[before:] == [Outcome.LEFT_IN_GREETING]


async def test_repeated_hold_and_resume_disturb_neither_menu_nor_conversation(
    attacked: CallCenter,
) -> None:
    async with (
        attacked.consultant("202") as consultant,
        attacked.caller("+77040000002") as caller,
    ):
        for _ in range(5):
            await caller.hold()
            await caller.resume()
        await caller.press("2")
        await attacked.hears(caller, "ru", "emergency_hint")
        await caller.hold()
        await caller.resume()
        await caller.press("1")
        leg = await consultant.next_call()
        await leg.answer()
        for _ in range(3):
            await caller.hold()
            await caller.resume()
            await leg.hold()
            await leg.resume()
        caller.send_tone(CALLER_TONE)
        leg.send_tone(CONSULTANT_TONE)
        await asyncio.gather(hears_tone(caller, CONSULTANT_TONE), hears_tone(leg, CALLER_TONE))
        await leg.hang_up()
        await caller.ended()
    appeal = await attacked.appeal("+77040000002")
    assert appeal.outcome == Outcome.TALKED
    (recording,) = await attacked.recordings(appeal)
    left, right = attacked.recorded(recording)
    assert loudness(last_sound(left), CALLER_TONE) > -30
    assert loudness(last_sound(right), CONSULTANT_TONE) > -30


async def hears_tone(call: SipCall, hertz: float) -> None:
    since = time.monotonic()

    async def heard() -> bool:
        sound = call.heard.pcm(since)
        return len(sound) > 3200 and loudness(sound[-3200:], hertz) > -30

    await until(heard, f"a tone of {hertz:g} Hz is heard")


async def test_a_caller_may_cancel_at_any_moment_after_the_invite(attacked: CallCenter) -> None:
    before = len(await outcomes(attacked))
    async with attacked.phone("+77040000003") as phone:
        for step in range(20):
            call = await phone.call("111")
            await asyncio.sleep(step / 1000)
            await call.hang_up()
            assert call.ended_by == "us"
    # Who cancels before the switch offers the call is nobody's appeal.
    assert set((await outcomes(attacked))[before:]) <= {Outcome.LEFT_IN_GREETING}


async def test_fifty_callers_at_once_all_have_an_outcome(
    attacked: CallCenter,
) -> None:
    async with attacked.phone("+77040000004") as phones:
        calls = [await phones.call("111") for _ in range(50)]
        await asyncio.gather(*(call.answered(20) for call in calls))
        await asyncio.gather(*(attacked.hears(call, "kk", "greeting", 20) for call in calls[::10]))
        await asyncio.gather(*(call.hang_up() for call in calls))
    assert await outcomes(attacked, "+77040000004") == [Outcome.LEFT_IN_GREETING] * 50


@pytest.mark.parametrize("user", ["201", "nobody", "operator"])
async def test_a_stranger_gets_no_call_or_account_and_is_logged(
    attacked: CallCenter, user: str
) -> None:
    before = len(await outcomes(attacked))
    assert await hostile.stranger_calls(attacked.switch.sip) == 401
    assert await hostile.stranger_registers(attacked.switch.sip, user) == 401
    assert await hostile.invite(attacked.switch.sip, address=STRANGER) == 401
    assert len(await outcomes(attacked)) == before

    def is_logged() -> bool:
        return any(
            f"/{STRANGER}/" in line and ("Failed" in line or "InvalidAccountID" in line)
            for line in attacked.switch.log("security.log").splitlines()
        )

    await until(is_logged, "the stranger is in the log")


async def test_a_flood_of_malformed_invites_disturbs_no_call(attacked: CallCenter) -> None:
    async with talking(attacked, "+77040000007", "203") as talk:
        flood = asyncio.create_task(hostile.flood(attacked.switch.sip, 2000))
        async with attacked.caller("+77040000008") as caller:
            await attacked.hears(caller, "kk", "greeting")
        await flood
        await both_hear(talk.caller, talk.consultant)
    assert (await attacked.appeal("+77040000007")).outcome == Outcome.TALKED


async def test_a_flood_of_strangers_keeps_no_caller_out(attacked: CallCenter) -> None:
    strangers = asyncio.gather(*(hostile.stranger_calls(attacked.switch.sip) for _ in range(100)))
    async with attacked.caller("+77040000005") as caller:
        await attacked.hears(caller, "kk", "greeting")
    assert set(await strangers) == {401}
    with pytest.raises(Refused):
        async with attacked.phone("+77040000006") as phone:
            await (await phone.call("201")).answered()
