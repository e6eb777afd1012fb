"""A frequent caller with a plan, on the real Asterisk."""

from datetime import date

import pytest

from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callers.care_plans import store
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import CallCenter
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_caller_with_a_plan_prefers_its_consultant(
    call_center: CallCenter,
) -> None:
    number = "+77010300001"
    async with unit_of_work(call_center.engine) as connection:
        await store.make(
            connection,
            number=number,
            extension="204",
            times="on Fridays",
            note="listen",
            review_on=date(2027, 1, 1),
            author="user:test",
        )

    async def has_arrived() -> bool:
        return all(
            each.callers.care_plans.find_consultant(number) == "204"
            for each in call_center.controllers
        )

    await until(has_arrived, "all controllers know of the plan")
    # 201 has been idle for longer, and is offered to everybody else.
    async with call_center.consultant("201") as other, call_center.consultant("204") as named:
        async with call_center.caller(number) as caller:
            await caller.press("0")
            leg = await named.next_call()
            await call_center.talk_shortly(leg)
        async with call_center.caller("+77010300002") as caller:
            await caller.press("0")
            leg = await other.next_call()
            await call_center.talk_shortly(leg)
    assert (await call_center.appeal("+77010300002")).outcome == Outcome.TALKED
