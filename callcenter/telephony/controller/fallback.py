"""Hand calls that we cannot serve to the dialplan's fallback, which needs no controller."""

import asyncio
import logging
from collections.abc import Mapping

from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.telephony.asterisk.ari import AriRequestFailed, AriUnavailable, ChannelNotFound
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.journal.spool import SpoolWriteFailed
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import LegHungUp, RecordingUnconfirmed

log = logging.getLogger(__name__)

RETRY_INTERVAL = 1.0  # seconds between two attempts
#: Why a call was handed over, as appeals have it: a word stays, whatever its class is called.
_WORDS: Mapping[type[Exception], str] = {
    DistributorUnavailable: "DeskClosed",
    AriUnavailable: "Unreachable",
    AriRequestFailed: "Refused",
    ChannelNotFound: "Gone",
    Fenced: "Fenced",
    RecordingUnconfirmed: "RecordingUnproved",
    SpoolWriteFailed: "NotOnDisk",
    DependencyUnavailable: "NotReady",
    OperationFailed: "WeFailed",
}


def fallback_reason(error: Exception) -> str:
    """The persisted word for why a call is handed over; for a library's error its class name."""
    words = (_WORDS[each] for each in type(error).__mro__ if each in _WORDS)
    return next(words, type(error).__name__)


async def hand_to_fallback(
    channel: Channel, record: CallRecord, why: str, *, patient: bool = True
) -> Outcome:
    """Hand the call over for this reason; a party whom we called is hung up. Never raises.

    While Asterisk does not answer it is tried again, if `patient`: nobody else has the caller.
    """
    if channel.id.startswith(ORIGINATED_PREFIX):  # a party whom we called is not served as a caller
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    try:
        await _continue(channel, record.state_tracker.now, patient)
    except (LegHungUp, OperationFailed):
        await channel.hang_up()
        return Outcome.LOST_TO_A_FAULT
    record.add_event(CallEvent.FALLBACK, why=why)
    return Outcome.FALLBACK


async def _continue(channel: Channel, state: CallState, patient: bool) -> None:
    while True:
        try:
            return await channel.continue_in_fallback(
                waits_since=state.waits_since, urgent=bool(state.urgencies)
            )
        except AriUnavailable as exc:
            if not patient:
                raise
            log.error("fallback waits for Asterisk: call %s: %s", channel.id, exc)
            await asyncio.sleep(RETRY_INTERVAL)
