"""What Asterisk tells of telephones comes twice, late, or in another order.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from callcenter.telephony.calls.outcomes import CallEvent
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import (
    all_is_stored,
    answered_call,
    both_hear,
    connected,
    has_happened,
)
from tests.calls.processes import running_controller_program
from tests.calls.stall_meter import Stalls
from tests.calls.tcp_proxies import (
    Fate,
    delivered_late,
    delivered_out_of_order,
    delivered_twice,
    relayed_ami,
)
from tests.polling import require_within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SOON = 2.0  # seconds from the beginning of a conversation
FATES: Mapping[str, Callable[[], Fate]] = {
    "twice": lambda: delivered_twice,
    "late": lambda: delivered_late,
    "out_of_order": delivered_out_of_order,
}


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_an_unrecorded_talk_is_reported_within_two_seconds(
    call_center: CallCenter,
) -> None:
    """What Asterisk is asked by AMI does not get there, and nobody is told so."""
    number = "+77020090100"
    await call_center.redis.delete("desk:alarms")
    async with (
        relayed_ami(call_center) as (relay, settings),
        running_controller_program(settings, "line-1"),
    ):
        async with call_center.softphone("201") as consultant, call_center.caller(number) as caller:
            await consultant.register()
            leg = await answered_call(caller, consultant)
            relay.flows.clear()
            async with Stalls() as stalls:
                await leg.answer()
                await call_center.hears(leg, "kk", "not_recorded")
                await has_happened(call_center, number, CallEvent.RECORDING_FAILED)
            await both_hear(caller, leg)
            relay.flows.set()
            await leg.hang_up()
            await caller.ended()
        events = {
            each.kind: each.at
            for each in await call_center.events(await call_center.appeal(number))
        }
        alerts = [json.loads(each) for each in await call_center.redis.lrange("desk:alarms", 0, -1)]
    began = events[CallEvent.CONNECTED].timestamp()
    (reported,) = [each["at"] for each in alerts if each["kind"] == "not_recorded"]
    require_within(reported - began, SOON + stalls.longest, "the alert")


@pytest.mark.parametrize("how", FATES)
async def test_words_of_telephones_that_come(call_center: CallCenter, how: str) -> None:
    numbers = [f"+7702009{list(FATES).index(how)}00{each}" for each in range(3)]
    reported = dict[str, int]()
    async with (
        relayed_ami(call_center) as (relay, settings),
        running_controller_program(settings, "line-1"),
    ):
        fate = FATES[how]()

        def counted(event: Mapping[str, Any]) -> Any:
            reported[event["Event"]] = reported.get(event["Event"], 0) + 1
            return fate(event)

        relay.fate = counted
        async with (
            call_center.softphone("201") as consultant,
            call_center.caller(numbers[0]) as caller,
            call_center.caller(numbers[1]) as second,
            call_center.caller(numbers[2]) as third,
        ):
            await consultant.register()
            leg = await connected(call_center, caller, consultant)
            await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
            for each, number in zip((second, third), numbers[1:], strict=True):
                await each.press("0")
                await has_happened(call_center, number, CallEvent.WAITING)
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
            await all_is_stored(call_center, numbers)
    assert reported.keys() == {"DeviceStateChange"}, "Asterisk sends nothing else by AMI"
    assert reported["DeviceStateChange"] >= 6
