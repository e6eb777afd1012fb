"""Survey after a conversation: a rating from 1 to 5.

Offered by the consultant, or always by setting. Silence ends it at once, wrong keys after a second
try. Urgent callers are never surveyed, whether they signalled it by key or the appeal says so.
"""

import logging

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.urgency import interrupt_if_urgent

log = logging.getLogger(__name__)

MARKS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
TRIES = 2


async def run_survey(call: Call) -> None:
    """Ask the caller for a rating, unless the call is or becomes urgent. Raises LegHungUp."""
    if await may_survey(call):
        await interrupt_if_urgent(call, {}, _ask_mark(call))


async def may_survey(call: Call) -> bool:
    """Whether neither call nor appeal is urgent; False when the look-up fails."""
    if call.urgencies:
        return False
    try:
        return not await call.is_urgent_on_record()
    except OperationFailed as exc:
        log.error("survey skipped: call %s: %s", call.leg.id, exc)
        return False


async def _ask_mark(call: Call) -> None:
    for attempt in range(TRIES):
        key = await call.say("survey") or await call.leg.key(call.times.key_timeout)
        if key is None:
            return
        if key in MARKS:
            call.record.add_event(CallEvent.SURVEYED, mark=MARKS[key])
            await call.say("survey_thanks")
            return
        if attempt + 1 < TRIES:
            await call.say("err_invalid")
