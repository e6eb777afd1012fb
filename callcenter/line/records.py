"""What a call puts down of itself, on its way to the journal (`callcenter.line.ports.Record`)."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from callcenter.line.entries import (
    BecameUrgent,
    CallbackPromised,
    Closed,
    ConsultantSettled,
    Entry,
    Happened,
    LanguageSettled,
    MessageEmpty,
    MessagePromised,
    OutgoingCarried,
    OutgoingClosed,
    RecordingBegan,
    RecordingEnded,
)
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.whereabouts import Memory, Stage, Whereabouts


class Keeping(Protocol):
    """Whoever keeps it: `callcenter.line.journal.Journal`."""

    def put(self, entry: Entry) -> None:
        """Keep an entry; returns at once."""

    async def keep(self, entry: Entry) -> None:
        """Return when it is in the database. Raises WeFailed when that is not certain."""

    def kept_where(self, leg: str, where: str | None) -> None:
        """Keep where a call is; returns at once."""


class CallRecord:
    """What is kept of one call (`callcenter.line.ports.Record`)."""

    def __init__(self, journal: Keeping, appeal_id: UUID, leg: str = "", first: int = 1) -> None:
        self.appeal_id = appeal_id
        self.memory = Memory(Whereabouts(str(appeal_id), first), journal.kept_where, leg)
        self._journal = journal
        self._seq = itertools.count(first)
        self._over_since: datetime | None = None

    def _now(self) -> datetime:
        return self._over_since or datetime.now(UTC)

    def over_since(self, at: datetime) -> None:
        """The switch died then, and the call with it: nothing is put down as later than that."""
        self._over_since = at

    def moment(self, moment: Moment, **detail: str | bool | float) -> None:
        """Note that something happened now."""
        self._journal.put(Happened(self.appeal_id, next(self._seq), moment, self._now(), detail))
        self.memory.moment(moment, detail)

    def language(self, language: str) -> None:
        self.memory.note(language=language)
        self._journal.put(LanguageSettled(self.appeal_id, language))

    def urgent(self, urgencies: Sequence[Urgency]) -> None:
        self.memory.note(urgencies=tuple(each.value for each in urgencies))
        self._journal.put(BecameUrgent(self.appeal_id, tuple(urgencies)))

    def consultant(self, consultant_id: UUID) -> None:
        self.memory.note(consultant_id=str(consultant_id))
        self._journal.put(ConsultantSettled(self.appeal_id, consultant_id))

    def recording_started(self, recording_id: UUID, consultant_id: UUID | None, file: str) -> None:
        self.memory.note(recording=str(recording_id), is_proved=False)
        self._journal.put(
            RecordingBegan(self.appeal_id, recording_id, consultant_id, file, self._now())
        )

    def recording_stopped(self, recording_id: UUID) -> None:
        self._journal.put(RecordingEnded(self.appeal_id, recording_id, self._now()))

    async def callback_promised(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        """Return when it is in the database. Raises WeFailed when that is not certain."""
        now = self._now()
        await self._journal.keep(
            CallbackPromised(self.appeal_id, uuid4(), number, language, urgent, arrived, now)
        )

    async def message_promised(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        """Return when it is in the database. Raises WeFailed when that is not certain."""
        now = self._now()
        await self._journal.keep(
            MessagePromised(self.appeal_id, recording_id, language, urgent, arrived, now)
        )
        self.memory.note(stage=Stage.MESSAGE)

    def message_empty(self, recording_id: UUID) -> None:
        self._journal.put(MessageEmpty(self.appeal_id, recording_id, self._now()))

    def closed(self, outcome: Outcome, *, hung_up: bool = False) -> None:
        """The call is over; nothing is put down after this. `hung_up`: by the consultant."""
        self.moment(
            Moment.ENDED, outcome=outcome.value, **({"hung_up": "consultant"} if hung_up else {})
        )
        self.memory.over()
        self._journal.put(Closed(self.appeal_id, outcome, self._now()))


class OutgoingRecord(CallRecord):
    """What is kept of a call of ours, on the appeal that it is about."""

    def __init__(self, journal: Keeping, appeal_id: UUID, outgoing_id: UUID, first: int) -> None:
        super().__init__(journal, appeal_id, first=first)
        self.memory.note(outgoing=str(outgoing_id))
        self._outgoing_id = outgoing_id

    def carried_by(self, leg_id: str) -> None:
        """This leg lives as long as the call from now on."""
        self.memory.carried_by(leg_id)
        self._journal.put(OutgoingCarried(self.appeal_id, self._outgoing_id, leg_id))

    def closed(self, outcome: Outcome, *, hung_up: bool = False) -> None:
        """The call is over; the outcome of an appeal that came before it stays."""
        self.moment(Moment.ENDED, outcome=outcome.value)
        self.memory.over()
        self._journal.put(OutgoingClosed(self.appeal_id, self._outgoing_id, outcome, self._now()))
