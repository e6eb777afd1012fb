"""Redirection of a caller to the Unified Contact Center, 1414, with notice (R15)."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

from callcenter.telephony.calls.call import Call, while_connected
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import Leg, LegHungUp, NotAnswered


async def redirect_to_1414(
    call: Call, *, notice: str = "transfer_ecc", failure: str = "transfer_failed_back"
) -> bool:
    """Play the whole notice, then connect with 1414; returns whether they were connected.

    `notice` and `failure` are prompts. Nothing is recorded from the notice on. When 1414 is busy,
    refuses or does not answer, `failure` is played. While connected it waits until either hangs up.
    """
    await call.say(notice, until_key=False)
    call.record.add_event(CallEvent.REDIRECT_NOTICE)
    try:
        if call.recording_unconfirmed:
            raise NotAnswered("recording_not_proved_stopped")
        await _connect_1414(call)
    except NotAnswered as why:
        call.record.add_event(CallEvent.REDIRECT_FAILED, why=str(why))
        await call.say(failure, until_key=False)
        return False
    return True


async def _connect_1414(call: Call) -> None:
    call.record.add_event(CallEvent.REDIRECT_RINGING)
    async with AsyncExitStack() as unified_center:
        async with call.leg.music():
            leg = await while_connected(
                call.leg,
                unified_center.enter_async_context(
                    call.switch.call_unified_center(call.leg, call.times.unified_ring_timeout)
                ),
            )
        async with call.switch.connect(call.leg, leg, keys_to_us=False):
            call.record.add_event(CallEvent.REDIRECTED)
            await _wait_hangup(call, leg)


async def resume_redirect(
    call: Call, bridge: AbstractAsyncContextManager[object], leg: Leg
) -> None:
    """Resume a connection with 1414 in this bridge: wait until either hangs up, end the other."""
    try:
        async with bridge:
            await _wait_hangup(call, leg)
    finally:
        await leg.hang_up()


async def _wait_hangup(call: Call, leg: Leg) -> None:
    call.if_left = Outcome.REDIRECTED
    with suppress(LegHungUp):
        await while_connected(call.leg, leg.wait_hangup())
