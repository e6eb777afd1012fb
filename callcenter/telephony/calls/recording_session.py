"""Recording session of a conversation or voicemail: start and stop are confirmed (R17)."""

import logging
from uuid import UUID, uuid4

from callcenter.recordings.sealing.spool import name_for
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.ports import ConsultantPort, RecordingUnconfirmed

log = logging.getLogger(__name__)


class RecordingSession:
    """One recording; its faults never end the conversation."""

    def __init__(self, call: Call, running: UUID | None = None) -> None:
        """`running` is the id of a recording that a dead controller started."""
        self._call = call
        self.id: UUID = running or uuid4()
        self._file = call.times.spool / name_for(call.leg.id, self.id)
        self._is_over = running is None
        self._has_failed = False
        self.is_unconfirmed = False  #: started without confirmation

    async def start(self, consultant: ConsultantPort | None) -> bool:
        """Start; returns whether that is confirmed. `consultant` is None for a voicemail.

        It is registered before it starts, so that no file stays without a row.
        """
        self._is_over = False
        self._call.record.recording_started(
            self.id, consultant.id if consultant else None, self._file.name
        )
        try:
            await self._start_recorder()
        except RecordingUnconfirmed as exc:
            self.is_unconfirmed = True
            self._record_failure(exc)
            return False
        return True

    async def retry_start(self) -> bool:
        """Retry an unconfirmed start; returns whether it runs now, without what was said so far.

        False also when there is nothing to retry.
        """
        if not self.is_unconfirmed:
            return False
        try:
            await self._start_recorder()
        except RecordingUnconfirmed as exc:
            log.info("recording retry failed: call %s: %s", self._call.leg.id, exc)
            return False
        self.is_unconfirmed = False
        return True

    async def _start_recorder(self) -> None:
        await self._call.switch.start_recording(self._call.leg, self._file)
        self._call.record.add_event(CallEvent.RECORDING_STARTED, recording=str(self.id))
        self._call.on_recording_lost = self._handle_loss

    async def stop(self, *, is_final: bool = True) -> bool:
        """Stop; returns whether that is confirmed. The result of a final stop is remembered.

        Without confirmation, and unless `is_final`, it counts as running.
        """
        if self._is_over:
            return not self._call.recording_unconfirmed
        if not is_final and self._call.recording_unconfirmed:
            return False  # an earlier one may be running yet: this one goes on
        self._call.on_recording_lost = None
        is_confirmed = await self._stop_recorder()
        if is_confirmed or is_final:
            self._is_over, self.is_unconfirmed = True, False
            self._call.record.recording_stopped(self.id)
        if is_final and not is_confirmed:
            # Field complaint 25: no external party while the recording may be running.
            self._call.recording_unconfirmed = True
        return is_confirmed

    async def _stop_recorder(self) -> bool:
        try:
            is_empty = await self._call.switch.stop_recording(self._call.leg, self._file)
        except RecordingUnconfirmed as exc:
            self._record_failure(exc)
            return False
        self._call.record.add_event(CallEvent.RECORDING_STOPPED, recording=str(self.id))
        if is_empty and not self._has_failed:  # a failure says nothing of what was sent
            self._call.record.add_event(CallEvent.RECORDING_EMPTY, recording=str(self.id))
        return True

    def _handle_loss(self, reason: str) -> None:
        """The recorder failed: what is said from now on is lost."""
        self._call.on_recording_lost = None
        self._record_failure(RecordingUnconfirmed(f"{self._file.name}: {reason}"))

    def _record_failure(self, exc: RecordingUnconfirmed) -> None:
        self._has_failed = True
        log.error("recording failed: call %s: %s", self._call.leg.id, exc)
        self._call.record.add_event(
            CallEvent.RECORDING_FAILED, recording=str(self.id), reason=str(exc)
        )
