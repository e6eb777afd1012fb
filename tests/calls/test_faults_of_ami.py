"""What Asterisk tells of telephones comes twice, late, or in another order.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from callcenter.line.outcomes import Moment
from tests.calls.fragile import (
    all_is_kept,
    answered_call,
    both_hear,
    connected,
    has_happened,
)
from tests.calls.house import House
from tests.calls.parts import running_line
from tests.calls.relays import Fate, relayed_ami, told_late, told_out_of_order, told_twice
from tests.calls.stalls import Stalls

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SOON = 2.0  # seconds from the beginning of a conversation
FATES: Mapping[str, Callable[[], Fate]] = {
    "twice": lambda: told_twice,
    "late": lambda: told_late,
    "out_of_order": told_out_of_order,
}


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_who_talks_unrecorded_is_told_within_two_seconds_and_so_are_supervisors(
    house: House,
) -> None:
    """What Asterisk is asked by AMI does not get there, and nobody is told so."""
    number = "+77020090100"
    await house.redis.delete("desk:alarms")
    async with relayed_ami(house) as (relay, settings), running_line(settings, "line-1"):
        async with house.softphone("201") as consultant, house.caller(number) as caller:
            await consultant.register()
            leg = await answered_call(caller, consultant)
            relay.flows.clear()
            async with Stalls() as stalls:
                await leg.answer()
                await house.hears(leg, "kk", "not_recorded")
                await has_happened(house, number, Moment.RECORDING_FAILED)
            await both_hear(caller, leg)
            relay.flows.set()
            await leg.hang_up()
            await caller.ended()
        events = {each.kind: each.at for each in await house.events(await house.appeal(number))}
        alarms = [json.loads(each) for each in await house.redis.lrange("desk:alarms", 0, -1)]
    began = events[Moment.CONNECTED].timestamp()
    (told,) = [each["at"] for each in alarms if each["kind"] == "not_recorded"]
    assert told - began < SOON + stalls.longest


@pytest.mark.parametrize("how", FATES)
async def test_words_of_telephones_that_come(house: House, how: str) -> None:
    numbers = [f"+7702009{list(FATES).index(how)}00{each}" for each in range(3)]
    told = dict[str, int]()
    async with relayed_ami(house) as (relay, settings), running_line(settings, "line-1"):
        fate = FATES[how]()

        def counted(event: Mapping[str, Any]) -> Any:
            told[event["Event"]] = told.get(event["Event"], 0) + 1
            return fate(event)

        relay.fate = counted
        async with (
            house.softphone("201") as consultant,
            house.caller(numbers[0]) as caller,
            house.caller(numbers[1]) as second,
            house.caller(numbers[2]) as third,
        ):
            await consultant.register()
            leg = await connected(house, caller, consultant)
            await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
            for each, number in zip((second, third), numbers[1:], strict=True):
                await each.press("0")
                await has_happened(house, number, Moment.WAITING)
            await asyncio.sleep(1)  # what is told late is told by now
            await both_hear(caller, leg)
            assert consultant.calls == [leg], "who talks is offered nobody"
            await leg.hang_up()
            await caller.ended()
            for each in (second, third):  # one after the other, as they came
                again = await consultant.next_call(20)
                await again.answer()
                await both_hear(each, again)
                await again.hang_up()
                await each.ended()
            await all_is_kept(house, numbers)
    assert told.keys() == {"DeviceStateChange"}, "Asterisk sends nothing else by AMI"
    assert told["DeviceStateChange"] >= 6
