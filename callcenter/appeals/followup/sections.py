"""Letters on the page of a record: a section, and their changes in the timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.rules import ContactVerdict
from callcenter.appeals.contact.ways import LETTER
from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.appeals.followup import attachments_store
from callcenter.appeals.followup.attachments_store import Attachment
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import letters_store
from callcenter.appeals.record.letters_store import StoredLetter
from callcenter.appeals.rules.edit_conflict import FieldChange
from callcenter.platform.core.errors import N_


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterEntry(TimelineEntry):
    """A change of a letter; `names` has its letters and files by id."""

    letter_id: UUID
    differences: Mapping[str, FieldChange]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LettersSection:
    """Letters of an appeal, the latest first, and its files as far as the reader sees them."""

    letters: Sequence[StoredLetter]
    files: Sequence[Attachment]
    verdict: ContactVerdict  #: whether the applicant may be written to now

    @property
    def names(self) -> Mapping[str, str]:
        """Names of letters and files, by id."""
        numbers = {str(each.id): each.letter.number for each in self.letters}
        return numbers | {str(each.id): each.name for each in self.files}


async def read_files(reading: AppealReading) -> Sequence[Attachment]:
    """Read the files of an appeal as far as the reader sees them. Raises DecryptionFailed."""
    if not reading.actor.may(AppealPermission.SEE_SENSITIVE):
        return ()
    return await attachments_store.list_of_appeal(
        reading.connection, reading.keys, reading.appeal_id
    )


async def read_section(reading: AppealReading) -> LettersSection:
    """Read the letters of an appeal, and its files. Raises DecryptionFailed."""
    connection, keys, appeal_id = reading.connection, reading.keys, reading.appeal_id
    letters = await letters_store.list_of_appeal(connection, keys, appeal_id)
    files = await reading.once(read_files)
    verdict = await contact.read_verdict(
        connection, LETTER, appeal_id=appeal_id, person="applicant"
    )
    return LettersSection(letters, files, verdict)


async def read_timeline(reading: AppealReading) -> Sequence[LetterEntry]:
    """Changes of the letters of an appeal, in order. Raises DecryptionFailed."""
    names = (await reading.once(read_section)).names
    changes = await letters_store.list_changes(reading.connection, reading.keys, reading.appeal_id)
    return [
        LetterEntry(
            at=each.at,
            author=each.author,
            text=N_("Letter № %(number)s"),
            values={"number": names[str(letter_id)]},
            template="appeals/letter_entry.html",
            letter_id=letter_id,
            differences=each.differences,
            names=names,
        )
        for letter_id, each in changes
    ]
