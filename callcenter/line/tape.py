"""One recording, proved started and proved stopped (R17): of a conversation, or of a message."""

import logging
from uuid import UUID, uuid4

from callcenter.line.call import Call
from callcenter.line.outcomes import Moment
from callcenter.line.ports import Consultant, RecordingUnproved
from callcenter.recordings.spool import name_for

log = logging.getLogger(__name__)


class Tape:
    """One recording; a fault of it never ends the conversation."""

    def __init__(self, call: Call, running: UUID | None = None) -> None:
        """`running` is a recording that a controller began which is no more."""
        self._call = call
        self.id: UUID = running or uuid4()
        self._file = call.times.spool / name_for(call.leg.id, self.id)
        self._is_over = running is None
        self.is_missing = False  #: it was begun, and nothing proves that it runs

    async def start(self, consultant: Consultant | None) -> bool:
        """Whether it is proved that it runs. No `consultant`: the caller is alone.

        It is registered before it starts, so that no file can be left that nobody knows.
        """
        self._is_over = False
        self._call.record.recording_started(
            self.id, consultant.id if consultant else None, self._file.name
        )
        try:
            await self._run()
        except RecordingUnproved as exc:
            self.is_missing = True
            self._failed(exc)
            return False
        return True

    async def start_again(self) -> bool:
        """Whether it runs now, after all: what was said meanwhile is missing.

        False too when it was not missing; what was stopped is not.
        """
        if not self.is_missing:
            return False
        try:
            await self._run()
        except RecordingUnproved as exc:
            log.info("call %s: %s", self._call.leg.id, exc)
            return False
        self.is_missing = False
        return True

    async def _run(self) -> None:
        await self._call.switch.start_recording(self._call.leg, self._file)
        self._call.record.moment(Moment.RECORDING_STARTED, recording=str(self.id))
        self._call.spoil_recording = self._spoiled

    async def stop(self, *, for_good: bool = True) -> bool:
        """Whether it is proved that nothing more is recorded; said once is said for good.

        When it cannot be proved and this is not `for_good`, it counts as running.
        """
        if self._is_over:
            return not self._call.recording_unproved
        self._call.spoil_recording = None
        proved = await self._stopped()
        if proved or for_good:
            self._is_over, self.is_missing = True, False
            self._call.record.recording_stopped(self.id)
        if for_good and not proved:
            # Field complaint 25: what cannot be proved stopped must not go on to somebody outside.
            self._call.recording_unproved = True
        return proved

    async def _stopped(self) -> bool:
        try:
            await self._call.switch.stop_recording(self._call.leg, self._file)
        except RecordingUnproved as exc:
            self._failed(exc)
            return False
        self._call.record.moment(Moment.RECORDING_STOPPED, recording=str(self.id))
        return True

    def _spoiled(self, why: str) -> None:
        """What is said from now on is not kept; what was said before may be."""
        self._call.spoil_recording = None
        self._failed(RecordingUnproved(f"{self._file.name}: {why}"))

    def _failed(self, exc: RecordingUnproved) -> None:
        log.error("call %s: %s", self._call.leg.id, exc)
        self._call.record.moment(Moment.RECORDING_FAILED, recording=str(self.id), why=str(exc))
