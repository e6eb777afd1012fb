"""A controller that is late leaves new calls to the fallback, and takes them again after."""

import json
import re
import time

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear, connected, falls_back, has_happened
from tests.calls.faulty_controllers import BLOCKABLE, block
from tests.calls.processes import running_controller_program, running_watchdog
from tests.polling import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Seconds: less than a blocked loop is late, more than one on a busy machine.
LIMIT = {"CALLCENTER_ADMISSION_LIMIT": "2"}
BACK_AFTER = 10.0  # seconds after the end of the load
TALKS, OVERLOADED, AFTER = "+77020091000", "+77020091001", "+77020091002"


async def test_a_late_controller_leaves_new_calls_to_the_fallback(disposable: CallCenter) -> None:
    call_center = disposable

    async def is_closed() -> bool:
        return "admission closed" in line.log.read_text()

    async def is_claimed() -> bool:
        async with call_center.caller(AFTER):
            return await call_center.live_appeal(AFTER) is not None

    async with (
        running_watchdog(call_center.settings, also=LIMIT),
        running_controller_program(
            call_center.settings, "line-1", program=BLOCKABLE, also=LIMIT
        ) as line,
        call_center.softphone("201") as consultant,
        call_center.caller(TALKS) as caller,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, TALKS, CallEvent.RECORDING_STARTED)
        block(line)
        await until(is_closed, "admission is closed")
        load_ended_at = time.monotonic()  # it is said when the loop turns again
        await until(lambda: is_announced(call_center), "the dialplan knows")
        async with call_center.caller(OVERLOADED) as left:
            left_until = load_ended_at + BACK_AFTER - time.monotonic()
            await until(is_claimed, "new calls are claimed again", left_until)
            await falls_back(call_center, left)
            await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        assert reasons(call_center) == ["OVERLOADED"]
        assert (await call_center.appeal(TALKS)).outcome == Outcome.TALKED


async def is_announced(call_center: CallCenter) -> bool:
    found = re.search(
        r"OVERLOADED_UNTIL=(\d+)", await call_center.switch.cli("dialplan show globals")
    )
    return found is not None and int(found[1]) > time.time()


def reasons(call_center: CallCenter) -> list[str]:
    """Why callers of this test are in the fallback."""
    cel_log = call_center.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    events = [json.loads(line) for line in cel_log.read_bytes().splitlines()]
    calls = {each["linkedid"] for each in events if OVERLOADED in each["eventextra"]}
    entered = (each for each in events if each["eventtype"] == "FALLBACK_ENTERED")
    return [json.loads(e["eventextra"])["extra"] for e in entered if e["linkedid"] in calls]
