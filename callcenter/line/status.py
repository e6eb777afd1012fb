"""What an applicant learns by telephone of an appeal (R13): its stage and its dates, no more.

Who knows the number and either the last four digits of the applicant's telephone or the code of
the receipt is told. A wrong number and a wrong code are answered alike.
"""

import logging
from datetime import date

from callcenter.errors import WeFailed
from callcenter.line.call import Call
from callcenter.line.keyed import keyed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Progress
from callcenter.line.urgency import urgent_by_key

log = logging.getLogger(__name__)

TRIES = 3  # then a consultant helps
REPEATS = 5
AGAIN, CONSULTANT = "1", "0"


async def status_told(call: Call) -> bool:
    """Ask which appeal and say how it stands; False: the caller goes on to a consultant."""
    if call.progress is None:
        return False
    for _ in range(TRIES):
        number = await keyed(call, "status_ask")
        if number == CONSULTANT:
            return False
        if not call.progress.is_number(number):
            await call.say("status_mistake", until_key=False)
            continue
        proof = await keyed(call, "status_pin")
        try:
            stands = await call.progress.of(number, proof, call.leg.id, call.number)
        except WeFailed as exc:
            log.error("call %s: cannot look how an appeal stands: %s", call.leg.id, exc)
            break
        if stands is not None:
            with urgent_by_key(call):
                return await _said(call, status_prompts(stands))
        await call.say("status_not_found", until_key=False)
    call.record.moment(Moment.STATUS_NOT_TOLD)
    await call.say("err_to_agent")
    return False


def status_prompts(stands: Progress) -> list[str]:
    """Prompt ids that tell a stage and the last day of its term."""
    said = [f"status_{stands.stage}"]
    if stands.extended:
        said.append("status_extended")
    return said + (["status_due", *day_prompts(stands.due_on)] if stands.due_on else [])


def day_prompts(day: date) -> list[str]:
    """A day without its year: terms are of weeks, two months at most."""
    return [f"day_{day.day}", f"month_{day.month}"]


async def _said(call: Call, prompts: list[str]) -> bool:
    """Say it until the caller is content; False when the caller wants a consultant."""
    call.record.moment(Moment.STATUS_TOLD)
    call.if_left = Outcome.INFORMED
    for _ in range(REPEATS):
        key = await call.say(*prompts, "status_again") or await call.leg.key(call.times.key_timeout)
        if key != AGAIN:
            break
    if key == CONSULTANT or call.urgencies:
        return False
    await call.say("goodbye")
    return True
