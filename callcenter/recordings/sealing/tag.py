"""The tag of a recording: whose it is, as a Vorbis comment inside the sealed audio.

So a recording can be attributed when the database has lost its row. Objects sealed before tags
existed have none.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from callcenter.recordings.store import RecordingRow


@dataclass(frozen=True, slots=True)
class RecordingTag:
    """A row of a recording before it is sealed: no number, no name.

    Tags outlive the version that wrote them: the names of fields never change. `spool_name` holds
    the id of the call (`spool.read_name`).
    """

    recording_id: UUID
    appeal_id: UUID
    consultant_id: UUID | None
    spool_name: str
    started_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: RecordingRow) -> "RecordingTag":
        """The tag of a recording of the register."""
        return cls(
            row.id, row.appeal_id, row.consultant_id, row.spool_name, row.started_at, row.ended_at
        )

    @classmethod
    def parse(cls, comment: str) -> "RecordingTag | None":
        """The tag in this comment, None when there is none."""
        try:
            return _ADAPTER.validate_json(comment)
        except ValidationError:
            return None

    @property
    def comment(self) -> str:
        """The tag as JSON."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER = TypeAdapter(RecordingTag)
