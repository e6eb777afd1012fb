"""An applicant asks by telephone how an appeal stands, on the real switch (R13)."""

import pytest

from callcenter.appeals.number import make
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import House
from tests.storage.test_progress import appeal

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_line_tells_an_applicant_how_the_appeal_stands(house: House) -> None:
    number = await appeal(house.engine)
    caller = "+77010007070"
    async with house.caller(caller) as call:
        await call.press("2")
        await house.hears(call, "ru", "emergency_hint")
        await call.press("2")  # the notice is cut short: the menu's key is pressed already
        await house.hears(call, "ru", "status_ask")
        await call.press(f"{number}#")
        await house.hears(call, "ru", "status_pin")
        await call.press("0427#")
        for prompt in ("status_forwarded", "status_due", "day_16", "month_12", "status_again"):
            await house.hears(call, "ru", prompt)
    told = await house.appeal(caller)
    assert told.outcome == Outcome.INFORMED
    assert "status_told" in await house.moments(told)


async def test_after_three_wrong_tries_the_caller_talks_with_a_consultant(house: House) -> None:
    number, of_nobody = await appeal(house.engine), make(19, 1)
    caller = "+77010007071"
    async with house.consultant("201") as consultant, house.caller(caller) as call:
        await call.press("2")
        await house.hears(call, "ru", "emergency_hint")
        await call.press("2")
        await house.hears(call, "ru", "status_ask")
        await call.press(f"{of_nobody}#")
        await house.hears(call, "ru", "status_pin")
        await call.press("0427#")
        await house.hears(call, "ru", "status_not_found")
        await call.press(f"{number}#0000#{number}#1111#")  # who knows the way does not wait
        leg = await consultant.next_call()
        assert not house.was_heard(call, "ru", "status_forwarded")
        await house.talk_shortly(leg)
        await call.ended()
    told = await house.appeal(caller)
    assert (told.outcome, told.consultant_extension) == (Outcome.TALKED, "201")
    assert Moment.STATUS_NOT_TOLD in await house.moments(told)
