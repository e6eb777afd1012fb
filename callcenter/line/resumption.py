"""A call whose controller is no more, from where it was to its one outcome, as `flow` has it.

Who talks hears nothing of it. Everybody else hears a short apology, unless the controller handed
the call over in order, and keeps language, place and urgency.
"""

from callcenter.line.call import Call, to_the_end
from callcenter.line.flow import after, fulfilled, opened, served, to_its_outcome
from callcenter.line.happenings import Found
from callcenter.line.menu import Wish, main_menu, say_in_both
from callcenter.line.message import message_ended
from callcenter.line.outcomes import Outcome
from callcenter.line.redirect import redirection_seen_out
from callcenter.line.talk import Parting, talked
from callcenter.line.tape import Tape
from callcenter.line.urgency import URGENT_KEYS, unless_urgent
from callcenter.line.whereabouts import Stage, Whereabouts


async def resumed_call(
    call: Call, where: Whereabouts, found: Found | None, *, in_order: bool
) -> Outcome:
    """Serve a caller on; `found` is the conversation, if one is under way.

    `in_order`: the call was handed over. Cancelling gives back all that was taken.
    """
    call.if_left = where.if_left
    return await to_its_outcome(call, _went_on(call, where, found, in_order))


async def _went_on(call: Call, where: Whereabouts, found: Found | None, in_order: bool) -> Outcome:
    if found is None and where.recording and where.stage is not Stage.MESSAGE:
        await to_the_end(Tape(call, where.recording_uuid).stop())
    match where.stage:
        case Stage.TALKING if found is not None:
            return await _ended(call, await talked(call, found))
        case Stage.TALKING:  # the consultant has left meanwhile
            return await _ended(call, Parting.TALKED)
        case Stage.REDIRECTED if found is not None and found.guest is not None:
            await redirection_seen_out(call, found.room, found.guest.leg)
            return Outcome.REDIRECTED
        case Stage.REDIRECTED:  # 1414 has left meanwhile
            return Outcome.REDIRECTED
        case Stage.FAREWELL:
            await call.say("goodbye")
            return where.became
        case Stage.MESSAGE if where.recording:
            await message_ended(call, where.recording_uuid)
            return Outcome.MESSAGE
    if not in_order:
        await _apologise(call)
    return await _served_on(call, where.stage)


async def _ended(call: Call, parting: Parting) -> Outcome:
    return await after(call, parting) or await served(call)


async def _apologise(call: Call) -> None:
    if call.language_settled:
        await call.say("sorry_going_on", until_key=False)
    else:
        await say_in_both(call, "sorry_going_on")


async def _served_on(call: Call, stage: Stage) -> Outcome:
    if stage is Stage.OPENING and not call.language_settled:
        return await opened(call)
    if stage is Stage.OPENING:
        wish = await unless_urgent(call, URGENT_KEYS, main_menu(call, None))
        return await fulfilled(call, wish or Wish.CONSULTANT)
    if stage is Stage.REDIRECTING:
        return await fulfilled(call, Wish.UNIFIED_CENTER)
    call.goes_on = True
    return await served(call)
