"""Redirection to the Unified Contact Center, 1414, with notice (R15)."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

from callcenter.line.call import Call, while_there
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, LegGone, NotAnswered


async def redirected(
    call: Call, *, notice: str = "transfer_ecc", failure: str = "transfer_failed_back"
) -> bool:
    """Tell the caller, to the end, then connect with 1414; True when they were connected.

    `notice` and `failure` are prompts. Nothing is recorded from the notice on. When 1414 is busy,
    refuses or does not answer, the caller is told so and this returns False. While they talk it
    waits for either to hang up.
    """
    await call.say(notice, until_key=False)
    call.record.moment(Moment.REDIRECT_NOTICE)
    try:
        if call.recording_unproved:
            raise NotAnswered("recording_not_proved_stopped")
        await _connected_with_1414(call)
    except NotAnswered as why:
        call.record.moment(Moment.REDIRECT_FAILED, why=str(why))
        await call.say(failure, until_key=False)
        return False
    return True


async def _connected_with_1414(call: Call) -> None:
    call.record.moment(Moment.REDIRECT_RINGING)
    async with AsyncExitStack() as unified_center:
        async with call.leg.music():
            leg = await while_there(
                call.leg,
                unified_center.enter_async_context(
                    call.switch.call_unified_center(call.leg, call.times.unified_ring_timeout)
                ),
            )
        async with call.switch.connected(call.leg, leg, keys_to_us=False):
            call.record.moment(Moment.REDIRECTED)
            await _until_either_leaves(call, leg)


async def redirection_seen_out(
    call: Call, room: AbstractAsyncContextManager[object], leg: Leg
) -> None:
    """The caller is with 1414 already, in this room: wait until either hangs up, end the other."""
    try:
        async with room:
            await _until_either_leaves(call, leg)
    finally:
        await leg.hang_up()


async def _until_either_leaves(call: Call, leg: Leg) -> None:
    call.if_left = Outcome.REDIRECTED
    with suppress(LegGone):
        await while_there(call.leg, leg.gone())
