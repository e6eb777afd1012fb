"""An applicant asks by telephone how an appeal stands, on the real switch (R13)."""

import pytest

from callcenter.line.outcomes import Outcome
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
