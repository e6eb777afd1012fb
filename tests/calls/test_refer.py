"""A softphone's own transfers (REFER), blind and attended, and other requests in a call."""

import pytest

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.sipphone.call import SipCall
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.talking import THIRD_PARTY_TONE, hears_tone, talking
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: What a telephone may send within a call, and Asterisk has no use for.
USELESS = ("MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO", "HUMBUG")
HEADERS = (("Event", "presence"),)
TEXT = ("text/plain", b"Hello")


async def reported(call: SipCall, status: int) -> None:
    """Wait until the telephone is told this of its transfer."""

    async def has_report() -> bool:
        return status in call.transfer_reports

    await until(has_report, f"the transfer's report is {status}, of {call.transfer_reports}")


async def test_a_blind_refer_gives_the_caller_to_the_colleague(call_center: CallCenter) -> None:
    number = "+77020700001"
    async with talking(call_center, number) as talk, call_center.consultant("204") as other:
        await talk.consultant.hold()
        assert await talk.consultant.transfer("204") == 202
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(leg, CALLER_TONE)
        await reported(talk.consultant, 200)
        await talk.consultant.ended()
        await leg.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert CallEvent.TRANSFERRED in await call_center.moments(appeal)


async def test_a_refer_that_asks_for_no_reports_crashes_nothing(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020700002") as talk:
        quiet = (("Refer-Sub", "false"), ("Supported", "norefersub"))
        assert await talk.consultant.transfer("87272701212", headers=quiet) == 202
        await reported(talk.consultant, 603)
        await hears_tone(talk.caller, CONSULTANT_TONE)
        assert call_center.switch.is_running
        await talk.caller.hang_up()
        await talk.consultant.ended()


async def test_a_refer_to_a_busy_colleague_is_refused(
    call_center: CallCenter,
) -> None:
    async with talking(call_center, "+77020700003") as talk:
        await talk.consultant.hold()
        assert await talk.consultant.transfer("204") == 202  # who is not there
        await reported(talk.consultant, 603)
        await talk.consultant.resume()
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.caller.hang_up()
        await talk.consultant.ended()


async def test_a_refer_to_1414_redirects_with_notice(call_center: CallCenter) -> None:
    number = "+77020700004"
    async with call_center.unified_center() as center, talking(call_center, number) as talk:
        assert await talk.consultant.transfer("1414") == 202
        await reported(talk.consultant, 200)
        await call_center.hears(talk.caller, "kk", "transfer_ecc")
        await call_center.talk_shortly(await center.next_call(30))
        await talk.caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.REDIRECTED


async def test_a_refer_to_111_returns_the_caller_to_the_queue(
    call_center: CallCenter,
) -> None:
    number = "+77020700006"
    async with talking(call_center, number) as talk, call_center.softphone("204") as other:
        # Who sends the caller back rests, or would be the next whom the caller gets.
        presence = PresenceService(call_center.redis, PLAIN_RULES)
        await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        await talk.consultant.hold()
        assert await talk.consultant.transfer("111") == 202
        await reported(talk.consultant, 200)
        await talk.consultant.ended()
        await other.register()
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(THIRD_PARTY_TONE)
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(leg, CALLER_TONE)
        await leg.hang_up()
        await talk.caller.ended()
        await presence.ask("201", PresenceState.READY, by="self")
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert CallEvent.SENT_BACK in await call_center.moments(appeal)


async def test_an_attended_refer_from_the_second_line_transfers(
    call_center: CallCenter,
) -> None:
    number = "+77020700005"
    async with (
        call_center.consultant("201") as phone,
        call_center.caller(number) as caller,
    ):
        await caller.press("0")
        first = await phone.next_call()
        await first.answer()
        caller.send_tone(CALLER_TONE)
        await hears_tone(first, CALLER_TONE)
        async with call_center.consultant("204") as other:
            await first.hold()
            first.stop_sending()
            second = await phone.call("204")
            leg = await other.next_call()
            await leg.answer()
            await second.answered()
            second.send_tone(CONSULTANT_TONE)
            leg.send_tone(THIRD_PARTY_TONE)
            await hears_tone(leg, CONSULTANT_TONE)
            await hears_tone(second, THIRD_PARTY_TONE)
            assert await first.transfer("204", replacing=second) == 202
            await reported(first, 200)
            await hears_tone(caller, THIRD_PARTY_TONE)
            await hears_tone(leg, CALLER_TONE)
            await first.ended()
            await second.ended()
            await leg.hang_up()
            await caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")


@pytest.mark.parametrize("method", USELESS)
async def test_no_request_in_a_call_goes_unanswered(call_center: CallCenter, method: str) -> None:
    async with call_center.caller(f"+7702070010{USELESS.index(method)}") as caller:
        answer = await caller.send(method, HEADERS, TEXT)
        assert answer.status >= 400
        await call_center.hears_something(caller)
        await caller.hang_up()


async def test_no_request_of_a_consultants_telephone_goes_unanswered(
    call_center: CallCenter,
) -> None:
    async with talking(call_center, "+77020700110") as talk:
        for method in USELESS:
            assert (await talk.consultant.send(method, HEADERS, TEXT)).status >= 400, method
        for call in (talk.consultant, talk.caller):
            assert (await call.send("OPTIONS")).status == 200
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        await talk.caller.hang_up()
        await talk.consultant.ended()
