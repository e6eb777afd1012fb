"""Appeal status lookup by telephone (R13): stage and deadline, no more.

The caller proves the claim with the appeal's number and either the last four digits of the
applicant's telephone or the code of the receipt. A wrong number and a wrong code sound alike.
"""

import logging
from datetime import date

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.digit_collection import collect_digits
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import AppealStatus
from callcenter.telephony.calls.prompts.texts import as_dialled, spell_digits
from callcenter.telephony.calls.urgency import accept_urgent_keys

log = logging.getLogger(__name__)

TRIES = 3  # then to a consultant
REPEATS = 5
REPEAT_KEY, CONSULTANT_KEY = "1", "0"


async def tell_status(call: Call) -> bool:
    """Ask for an appeal and tell its status; False: the caller goes to a consultant."""
    if call.status_lookup is None:
        return False
    for _ in range(TRIES):
        number = await collect_digits(call, "status_ask")
        if number == CONSULTANT_KEY:
            return False
        if not call.status_lookup.is_number(number):
            await call.say("status_mistake", until_key=False)
            continue
        proof = await collect_digits(call, "status_pin")
        try:
            status = await call.status_lookup.look_up(number, proof, call.leg.id, call.number)
        except OperationFailed as exc:
            log.error("status lookup failed: call %s: %s", call.leg.id, exc)
            break
        if status is not None:
            with accept_urgent_keys(call):
                return await _play_status(call, status_prompts(status))
        await call.say("status_not_found", until_key=False)
    call.record.add_event(CallEvent.STATUS_NOT_TOLD)
    await call.say("err_to_agent")
    return False


def status_prompts(status: AppealStatus) -> list[str]:
    """Return prompt ids of a stage, its deadline, and the body that tells of it (R22).

    Names of bodies are in no prompt: a consultant says them, and numbers with letters. So it is
    said of what stands with a body, whether that may be named or not.
    """
    prompts = [f"status_{status.stage}"]
    if status.extended:
        prompts.append("status_extended")
    if status.due_on:
        prompts += ["status_due", *day_prompts(status.due_on)]
    if status.telephone:
        prompts += ["status_source", *spell_digits(as_dialled(status.telephone))]
    is_with_body = status.stage == "forwarded" or bool(status.sources)
    return prompts + ["status_source_name"] * is_with_body


def day_prompts(day: date) -> list[str]:
    """Return prompt ids of a day without its year: deadlines are two months away at most."""
    return [f"day_{day.day}", f"month_{day.month}"]


async def _play_status(call: Call, prompts: list[str]) -> bool:
    """Tell the status, again on request; False when the caller chooses a consultant."""
    call.record.add_event(CallEvent.STATUS_TOLD)
    call.if_left = Outcome.INFORMED
    for _ in range(REPEATS):
        key = await call.say(*prompts, "status_again") or await call.leg.key(call.times.key_timeout)
        if key != REPEAT_KEY:
            break
    if key == CONSULTANT_KEY or call.urgencies:
        return False
    await call.say("goodbye")
    return True
