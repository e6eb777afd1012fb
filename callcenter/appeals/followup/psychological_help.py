"""Psychological help that goes on (R3): notes of psychologists, and booked talks.

A psychologist is a consultant with the skill `psychologist`. Notes are opened by psychologists
alone, one opening one audit entry; that there are some, and when the next talk is, is seen by
whoever works on the appeal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.followup import psychological_help_store as store
from callcenter.appeals.followup.psychological_help_store import BookedTalk, PsychologicalNote
from callcenter.appeals.record.service import audit_appeal, get_appeal, require_request
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

SKILL = "psychologist"  #: of the center's list of skills
TEXT_LIMIT = 20_000  # characters
BOOKED_LIMIT = timedelta(days=183)
BAD_TEXT = N_("a note has some words, in up to 20 000 characters")
BAD_MOMENT = N_("a talk is booked for a moment from now on, within half a year")
NOBODY_HELPS = N_("a psychologist begins this help: the next talk is booked with the same one")


class NotAPsychologist(InvalidRequest):
    """Only consultants with the skill of a psychologist open these notes."""


@dataclass(frozen=True, slots=True)
class PsychologicalHelp:
    """The help on an appeal for one reader: booked talks, and the number of notes."""

    talks: Sequence[BookedTalk]
    notes: int
    same: str | None  #: user name of the psychologist who helps
    is_psychologist: bool  #: the reader


async def is_psychologist(connection: AsyncConnection, actor: Actor) -> bool:
    """Whether the actor is an active consultant with that skill."""
    return actor.user is not None and await store.has_skill(connection, actor.user.id, SKILL)


async def open_notes(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str
) -> list[PsychologicalNote]:
    """The notes of an appeal, the newest first, after the audit log says who opens them.

    Raises NotAPsychologist, which is audited too, NotFound, DecryptionFailed.
    """
    appeal_id = await _require_psychologist(engine, actor, number)
    async with unit_of_work(engine) as connection:
        notes = await store.list_notes(connection, keys, appeal_id)
        await audit_appeal(
            connection, actor, AppealAction.PSYCHOLOGICAL_NOTES_OPENED, number, notes=len(notes)
        )
    return notes


async def add_note(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, text: str
) -> None:
    """Add a note. Raises NotAPsychologist, InvalidRequest, NotFound."""
    text = text.strip()
    if not text or len(text) > TEXT_LIMIT:
        raise InvalidRequest(BAD_TEXT)
    appeal_id = await _require_psychologist(engine, actor, number)
    async with unit_of_work(engine) as connection:
        await require_request(connection, appeal_id)
        identity = await store.insert_note(connection, keys, appeal_id, author=actor.who, text=text)
        await audit_appeal(
            connection, actor, AppealAction.PSYCHOLOGICAL_NOTE_ADDED, number, note=str(identity)
        )


async def book(engine: AsyncEngine, actor: Actor, number: str, at: datetime) -> UUID:
    """Book the next talk with the psychologist who helps already, else with the actor.

    Raises InvalidRequest for another moment, and where nobody helps yet and the actor is no
    psychologist; NotFound.
    """
    now = datetime.now(UTC)
    if at.tzinfo is None or not now - timedelta(minutes=1) <= at <= now + BOOKED_LIMIT:
        raise InvalidRequest(BAD_MOMENT)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        await require_request(connection, row.id)
        whom = await store.find_same(connection, row.id)
        if whom is None and await is_psychologist(connection, actor):
            whom = actor.name
        if whom is None:
            raise InvalidRequest(NOBODY_HELPS)
        identity = await store.insert_talk(
            connection, row.id, user=whom, due_at=at, author=actor.who
        )
        due = at.astimezone(UTC).isoformat(timespec="minutes")
        await audit_appeal(
            connection, actor, AppealAction.TALK_BOOKED, number, psychologist=whom, due_at=due
        )
    return identity


async def finish(engine: AsyncEngine, actor: Actor, number: str, talk_id: UUID) -> None:
    """Mark a booked talk as done, or as not wanted any more. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        if not await store.mark_done(connection, row.id, talk_id, actor.who):
            raise NotFound("no such talk is booked: look at the appeal again")
        await audit_appeal(connection, actor, AppealAction.TALK_DONE, number, talk=str(talk_id))


async def read_section(reading: AppealReading) -> PsychologicalHelp:
    """The help on an appeal for its page."""
    connection, appeal_id = reading.connection, reading.appeal_id
    return PsychologicalHelp(
        await store.list_booked(connection, appeal_id),
        await store.count_notes(connection, appeal_id),
        await store.find_same(connection, appeal_id),
        await is_psychologist(connection, reading.actor),
    )


async def _require_psychologist(engine: AsyncEngine, actor: Actor, number: str) -> UUID:
    """The id of the appeal. Raises NotAPsychologist, with an audit entry, and NotFound."""
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        may_open = await is_psychologist(connection, actor)
        if not may_open:
            await audit_action(
                connection,
                actor,
                AppealAction.PSYCHOLOGICAL_NOTES_REFUSED,
                f"appeal:{row.number}",
            )
    if not may_open:
        raise NotAPsychologist
    return row.id
