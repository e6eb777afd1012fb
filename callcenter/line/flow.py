"""A call to 111, from ringing to its one outcome, in the order of the Rules.

Hang-up is an exception at whatever the caller was doing, caught here and nowhere else: what
becomes of the call then was written down beforehand, as `call.if_left`.
"""

from callcenter.line.call import Call
from callcenter.line.menu import Wish, choose_language, give_notice, main_menu
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone, LegLost
from callcenter.line.redirect import redirected
from callcenter.line.waiting import End, consultation

_NOTICES = {End.REDIRECT: "transfer_ecc", End.UNIFIED_CENTER: "nobody_free"}


async def inbound_call(call: Call) -> Outcome:
    """Serve one caller; returns the outcome and never hangs up on a silent caller.

    R1: answered at once. R2: in the language of choice. R15: 1414 with notice. R17: recorded,
    with notice. R25: exactly one outcome. Cancelling gives back all that was taken.
    """
    try:
        await call.leg.answer()
        call.record.moment(Moment.ANSWERED)
        if await choose_language(call):
            wish = await main_menu(call, typed=await give_notice(call))
        else:
            await call.say("err_to_agent")
            wish = Wish.CONSULTANT
        return await _fulfil(call, wish)
    except LegLost:
        return Outcome.LOST_TO_A_FAULT
    except LegGone:
        return call.if_left


async def _fulfil(call: Call, wish: Wish) -> Outcome:
    if wish is Wish.UNIFIED_CENTER and await redirected(call):
        return Outcome.REDIRECTED
    while True:
        match await consultation(call):
            case End.TALKED:
                await call.say("goodbye")
                return Outcome.TALKED
            case End.REDIRECT | End.UNIFIED_CENTER as end:
                if await redirected(call, notice=_NOTICES[end]):
                    return Outcome.REDIRECTED
            case End.FAILED:
                await call.say("consultant_lost", until_key=False)
            case End.NOBODY:
                if await redirected(call, notice="nobody_free", failure="nobody_reached"):
                    return Outcome.REDIRECTED
                return Outcome.NOBODY_FREE
