"""A call that we cannot serve any more is left to the dialplan, which serves callers by itself."""

import asyncio
import logging

from callcenter.asterisk.ari import Unreachable
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.names import CALLED
from callcenter.errors import WeFailed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone
from callcenter.line.records import CallRecord

log = logging.getLogger(__name__)

AGAIN = 1.0  # seconds between two attempts


async def given_to_fallback(
    channel: Channel, record: CallRecord, why: str, *, patient: bool = True
) -> Outcome:
    """What becomes of a call for this reason; whom we called is hung up instead. Never raises.

    While Asterisk cannot be asked it is tried again, if `patient`: nobody else has the caller.
    """
    if channel.id.startswith(CALLED):  # whom we called is not served as a caller
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    try:
        await _left(channel, patient)
    except (LegGone, WeFailed):
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    record.moment(Moment.FALLBACK, why=why)
    return Outcome.FALLBACK


async def _left(channel: Channel, patient: bool) -> None:
    while True:
        try:
            return await channel.leave_to_fallback()
        except Unreachable as exc:
            if not patient:
                raise
            log.error("call %s waits for the switch: %s", channel.id, exc)
            await asyncio.sleep(AGAIN)
