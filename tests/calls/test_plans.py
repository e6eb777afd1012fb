"""A frequent caller with a plan, on the real Asterisk."""

from datetime import date

import pytest

from callcenter.line.outcomes import Outcome
from callcenter.plans import store
from callcenter.storage.engine import unit_of_work
from tests.calls.house import House, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_caller_with_a_plan_goes_first_to_the_consultant_named_in_it(
    house: House,
) -> None:
    number = "+77010300001"
    async with unit_of_work(house.engine) as connection:
        await store.make(
            connection,
            number=number,
            extension="204",
            times="on Fridays",
            note="listen",
            review_on=date(2027, 1, 1),
            author="user:test",
        )

    async def is_known() -> bool:
        return all(each.known.plans.named(number) == "204" for each in house.controllers)

    await until(is_known, "all controllers know of the plan")
    # 201 has been idle for longer, and is offered to everybody else.
    async with house.consultant("201") as other, house.consultant("204") as named:
        async with house.caller(number) as caller:
            await caller.press("0")
            leg = await named.next_call()
            await house.talk_shortly(leg)
        async with house.caller("+77010300002") as caller:
            await caller.press("0")
            leg = await other.next_call()
            await house.talk_shortly(leg)
    assert (await house.appeal("+77010300002")).outcome == Outcome.TALKED
