"""A call that we cannot serve any more is left to the dialplan, which serves callers by itself."""

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import CALLED
from callcenter.errors import WeFailed
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone
from callcenter.line.records import CallRecord


async def given_to_fallback(channel: Channel, record: CallRecord, why: str) -> Outcome:
    """What becomes of a call for this reason; whom we called is hung up instead. Never raises."""
    if channel.id.startswith(CALLED):  # whom we called is not served as a caller
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    try:
        await channel.leave_to_fallback()
    except (LegGone, WeFailed):
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    record.moment(Moment.FALLBACK, why=why)
    return Outcome.FALLBACK
