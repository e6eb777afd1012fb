"""An applicant asks by telephone how an appeal stands, on the real switch (R13)."""

import pytest

from callcenter.appeals.rules.number import make
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.storage.test_status_lookup import appeal

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_line_tells_an_applicant_how_the_appeal_stands(call_center: CallCenter) -> None:
    number = await appeal(call_center.engine)
    caller = "+77010007070"
    async with call_center.caller(caller) as call:
        await call.press("2")
        await call_center.hears(call, "ru", "emergency_hint")
        await call.press("2")  # the notice is cut short: the menu's key is pressed already
        await call_center.hears(call, "ru", "status_ask")
        await call.press(f"{number}#")
        await call_center.hears(call, "ru", "status_pin")
        await call.press("0427#")
        due = ("status_due", "day_16", "month_12")
        for prompt in ("status_forwarded", *due, "status_source_name", "status_again"):
            await call_center.hears(call, "ru", prompt)
    reported = await call_center.appeal(caller)
    assert reported.outcome == Outcome.INFORMED
    assert "status_told" in await call_center.moments(reported)


async def test_after_three_wrong_tries_the_caller_talks_with_a_consultant(
    call_center: CallCenter,
) -> None:
    number, of_nobody = await appeal(call_center.engine), make(19, 1)
    caller = "+77010007071"
    async with call_center.consultant("201") as consultant, call_center.caller(caller) as call:
        await call.press("2")
        await call_center.hears(call, "ru", "emergency_hint")
        await call.press("2")
        await call_center.hears(call, "ru", "status_ask")
        await call.press(f"{of_nobody}#")
        await call_center.hears(call, "ru", "status_pin")
        await call.press("0427#")
        await call_center.hears(call, "ru", "status_not_found")
        await call.press(f"{number}#0000#{number}#1111#")  # who knows the way does not wait
        leg = await consultant.next_call()
        assert not call_center.was_heard(call, "ru", "status_forwarded")
        await call_center.talk_shortly(leg)
        await call.ended()
    reported = await call_center.appeal(caller)
    assert (reported.outcome, reported.consultant_extension) == (Outcome.TALKED, "201")
    assert CallEvent.STATUS_NOT_TOLD in await call_center.moments(reported)
