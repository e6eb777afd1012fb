"""Letters and requests of an appeal: enter and correct them.

The day by which an answer is due is a deadline like those of the law: the earliest is in the record
(`letter_due_on`), and so in work lists and alerts.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.ways import LETTER
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup.attachments_store import PRESENT_STATES, list_of_appeal
from callcenter.appeals.form import store as form_store
from callcenter.appeals.record import letters_store, search_index, store
from callcenter.appeals.record.letters_store import StoredLetter
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.appeals.rules.edit_conflict import ContentChange, EditConflict, combine, differences
from callcenter.appeals.rules.letters import (
    Direction,
    Letter,
    LetterParty,
    check_answers,
    normalize_letter,
)
from callcenter.appeals.rules.states import ENDED, AppealState
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.pagination import Place
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.working_calendar.store import read_calendar

NOT_WRITTEN = N_("save the record first: a letter is a part of it")
HAS_ENDED = N_("this appeal has ended: open it again before you wait for an answer")
NO_FILE = N_("the scan is a file of this appeal: attach it first")


@dataclass(frozen=True, slots=True)
class LetterService:
    """Service of letters: enters and corrects them, each in a transaction of its own."""

    engine: AsyncEngine
    keys: RecordKeys

    async def view(
        self, actor: Actor, number: str, after: Place | None, limit: int
    ) -> list[StoredLetter]:
        """View letters of an appeal, the latest first, with an entry in the audit log.

        Raises NotFound.
        """
        async with unit_of_work(self.engine) as connection:
            row = await get_appeal(connection, number)
            letters = await letters_store.list_of_appeal(
                connection, self.keys, row.id, after=after, limit=limit
            )
            await audit_appeal(connection, actor, AppealAction.APPEAL_VIEWED, number, by="letters")
        return letters

    async def add(
        self, actor: Actor, number: str, letter: Letter, despite: str = ""
    ) -> StoredLetter:
        """Enter a letter; returns the existing one if it says the same.

        `despite`: a senior's reason to write to an applicant who wants no letters. Raises
        InvalidRequest, NotFound.
        """
        async with unit_of_work(self.engine) as connection:
            letter = normalize_letter(letter, _today(), await read_calendar(connection))
            locked, letters = await self._lock_record(connection, number)
            for each in letters.values():
                if each.letter == letter:
                    return each
            identity = uuid4()
            check_answers(identity, letter, {each.id: each.letter for each in letters.values()})
            await self._check_scan(connection, locked, letter)
            if _reaches_applicant(letter):
                await _ask_contact(connection, actor, number, locked.appeal_id, despite)
            edits = differences({}, letter.values)
            change = ContentChange(1, datetime.now(UTC), actor.who, edits)
            await letters_store.add(
                connection, self.keys, locked.appeal_id, identity, letter, change
            )
            return await self._finish(connection, actor, number, locked, identity)

    async def change(
        self,
        actor: Actor,
        number: str,
        identity: UUID,
        version: int,
        letter: Letter,
        despite: str = "",
    ) -> StoredLetter:
        """Correct a letter that was read in this version; `despite` as in `add`.

        Raises EditConflict, InvalidRequest, NotFound.
        """
        async with unit_of_work(self.engine) as connection:
            letter = normalize_letter(letter, _today(), await read_calendar(connection))
            locked, others = await self._lock_record(connection, number)
            before = others.pop(identity, None)
            if before is None:
                raise NotFound("there is no letter with this id")
            if before.version != version:
                changes = await letters_store.list_changes(connection, self.keys, locked.appeal_id)
                since = [
                    each for which, each in changes if which == identity and each.version > version
                ]
                raise EditConflict(before.version, combine(since), letter.values)
            edits = differences(before.letter.values, letter.values)
            if not edits:
                return before
            check_answers(identity, letter, {each.id: each.letter for each in others.values()})
            if letter.scan != before.letter.scan:
                await self._check_scan(connection, locked, letter)
            if _reaches_applicant(letter) and not _reaches_applicant(before.letter):
                await _ask_contact(connection, actor, number, locked.appeal_id, despite)
            change = ContentChange(version + 1, datetime.now(UTC), actor.who, edits)
            await letters_store.replace(connection, self.keys, identity, letter, change)
            return await self._finish(connection, actor, number, locked, identity)

    async def _lock_record(
        self, connection: AsyncConnection, number: str
    ) -> tuple[store.Record, dict[UUID, StoredLetter]]:
        """Read the record of an appeal, locked until this transaction ends, and its letters.

        Raises NotFound, and InvalidRequest: nothing is written of it, or there was no request.
        """
        row = await get_appeal(connection, number)
        found = await store.find(connection, self.keys, row.id, alone=True)
        if found.version == 0 or found.stage is AppealState.NO_REQUEST:
            raise InvalidRequest(NOT_WRITTEN)
        letters = await letters_store.list_of_appeal(connection, self.keys, row.id)
        return found, {each.id: each for each in letters}

    async def _check_scan(
        self, connection: AsyncConnection, locked: store.Record, letter: Letter
    ) -> None:
        if letter.scan is None:
            return
        files = await list_of_appeal(connection, self.keys, locked.appeal_id)
        if not any(each.id == letter.scan and each.state in PRESENT_STATES for each in files):
            raise InvalidRequest(NO_FILE)

    async def _finish(
        self,
        connection: AsyncConnection,
        actor: Actor,
        number: str,
        locked: store.Record,
        identity: UUID,
    ) -> StoredLetter:
        """Update deadline and search index of the record, audit, and return the letter.

        Raises InvalidRequest when an answer is due in an appeal that has ended.
        """
        due_on = await letters_store.update_due_day(connection, locked.appeal_id)
        if due_on is not None and locked.stage in ENDED:
            raise InvalidRequest(HAS_ENDED)
        form = await form_store.read_form(connection)
        await search_index.index(connection, self.keys, form, locked.appeal_id, locked.content)
        stored = await letters_store.find(connection, self.keys, identity)
        action, version = AppealAction.LETTER_KEPT, stored.version
        await audit_appeal(connection, actor, action, number, letter=str(identity), version=version)
        return stored


def _reaches_applicant(letter: Letter) -> bool:
    return letter.direction is Direction.OUT and letter.party is LetterParty.APPLICANT


async def _ask_contact(
    connection: AsyncConnection, actor: Actor, number: str, appeal_id: UUID, despite: str
) -> None:
    """Ask whether a letter to the applicant may go out. Raises ContactRefused."""
    if despite:
        await contact.override(connection, actor, LETTER, f"appeal:{number}", despite)
    else:
        await contact.ask(connection, LETTER, appeal_id=appeal_id, person="applicant")


def _today() -> date:
    return datetime.now(ZONE).date()
