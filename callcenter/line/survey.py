"""The question after a conversation: how good was it, from 1 to 5.

Asked when the consultant offers it, or always by setting. It is a favour of the caller: silence
ends it at once, wrong keys after a second try, and whoever is in need is never asked: who told so
by a key, and of whom the consultant has put it down.
"""

import logging

from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.outcomes import Moment
from callcenter.line.urgency import unless_urgent

log = logging.getLogger(__name__)

MARKS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
TRIES = 2


async def surveyed(call: Call) -> None:
    """Ask the caller for a mark; nothing when the call is urgent, or becomes so. Raises LegGone."""
    if await may_be_asked(call):
        await unless_urgent(call, {}, _asked(call))


async def may_be_asked(call: Call) -> bool:
    """Whether nobody has told of need, the caller or a consultant; not when that is not known."""
    if call.urgencies:
        return False
    try:
        return not await call.is_in_need()
    except WeFailed as exc:
        log.error("call %s: nobody is asked for a mark: %s", call.leg.id, exc)
        return False


async def _asked(call: Call) -> None:
    for attempt in range(TRIES):
        key = await call.say("survey") or await call.leg.key(call.times.key_timeout)
        if key is None:
            return
        if key in MARKS:
            call.record.moment(Moment.SURVEYED, mark=MARKS[key])
            await call.say("survey_thanks")
            return
        if attempt + 1 < TRIES:
            await call.say("err_invalid")
