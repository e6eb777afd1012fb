"""Fake record of a call."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.outcomes import CallEvent, Urgency
from tests.flow.legs import CallerLeg
from tests.flow.turns import Turns


class Record:
    """Fake of the call record port."""

    def __init__(self, turns: Turns, caller: CallerLeg, *, keeps_promises: bool) -> None:
        self._turns, self._caller = turns, caller
        self._keeps_promises = keeps_promises
        self.promised: list[str] = []  #: numbers
        self.messages: dict[UUID, bool] = {}  #: by recording, whether something is to be heard
        self.events: list[CallEvent] = []
        self.details: list[dict[str, str | bool | float]] = []
        self.languages: list[str] = []
        self.urgencies: list[Urgency] = []
        self.consultants: list[UUID] = []
        self.recordings: dict[UUID, bool] = {}  #: by id, whether it was said to be stopped

    def add_event(self, event: CallEvent, **detail: str | bool | float) -> None:
        self.events.append(event)
        self.details.append(detail)

    def set_language(self, language: str) -> None:
        self.languages.append(language)
        self.heard_before_language = len(self._caller.heard)

    def set_urgencies(self, urgencies: Sequence[Urgency]) -> None:
        self.urgencies = list(urgencies)

    def assign_consultant(self, consultant_id: UUID) -> None:
        self.consultants.append(consultant_id)

    def recording_started(self, recording_id: UUID, consultant_id: UUID | None, file: str) -> None:
        self.recordings[recording_id] = False

    def recording_stopped(self, recording_id: UUID) -> None:
        assert self.recordings[recording_id] is False, "stopped twice"
        self.recordings[recording_id] = True

    def set_leg(self, leg_id: str) -> None:
        assert leg_id == self._caller.id

    async def register_callback(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        await self._turns.operation()
        if not self._keeps_promises:
            raise OperationFailed("as the story goes")
        self.promised.append(number)

    async def register_voicemail(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        await self._turns.operation()
        if not self._keeps_promises:
            raise OperationFailed("as the story goes")
        assert self.recordings[recording_id] is False, "promised when nothing is recorded"
        self.messages[recording_id] = True

    def set_end_time(self, at: datetime) -> None:
        raise AssertionError("no switch dies here")

    def discard_voicemail(self, recording_id: UUID) -> None:
        self.messages[recording_id] = False
