"""Notes of psychologists and booked talks in PostgreSQL; the text of a note is sealed.

Those of an appeal are also those of what it is a part of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.store import select_continued
from callcenter.appeals.tables import psychological_note, psychological_talk
from callcenter.consultants.tables import consultant, consultant_skill
from callcenter.platform.identity.tables import web_user


@dataclass(frozen=True, slots=True)
class PsychologicalNote:
    """A note of a psychologist. Its text is personal data, empty once erased."""

    at: datetime
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class BookedTalk:
    """A talk that is booked and not done; `user` is the psychologist."""

    id: UUID
    user: str
    due_at: datetime


async def has_skill(connection: AsyncConnection, user_id: UUID, skill: str) -> bool:
    """Whether the user is an active consultant with this skill."""
    found = await connection.execute(
        select(consultant.c.id)
        .join(web_user, web_user.c.consultant_id == consultant.c.id)
        .join(consultant_skill, consultant_skill.c.consultant_id == consultant.c.id)
        .where(web_user.c.id == user_id, consultant.c.active, consultant_skill.c.skill == skill)
    )
    return found.first() is not None


async def list_notes(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> list[PsychologicalNote]:
    """The notes of an appeal, the newest first. Raises DecryptionFailed."""
    rows = await connection.execute(
        select(psychological_note)
        .where(psychological_note.c.appeal_id.in_(select_continued(appeal_id)))
        .order_by(psychological_note.c.at.desc(), psychological_note.c.id)
    )
    return [
        PsychologicalNote(row.at, row.author, keys.open(row.id, row.sealed).get("text", ""))
        for row in rows
    ]


async def count_notes(connection: AsyncConnection, appeal_id: UUID) -> int:
    """Count the notes of an appeal."""
    notes = select(func.count()).where(
        psychological_note.c.appeal_id.in_(select_continued(appeal_id))
    )
    return int((await connection.execute(notes)).scalar_one())


async def insert_note(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, *, author: str, text: str
) -> UUID:
    """Insert a note; returns its id."""
    identity = uuid4()
    await connection.execute(
        insert(psychological_note).values(
            id=identity,
            appeal_id=appeal_id,
            author=author,
            at=datetime.now(UTC),
            sealed=keys.seal(identity, {"text": text}),
        )
    )
    return identity


async def list_booked(connection: AsyncConnection, appeal_id: UUID) -> Sequence[BookedTalk]:
    """The booked talks of an appeal that are not done, the next first."""
    talks = await connection.execute(
        select(psychological_talk)
        .where(
            psychological_talk.c.appeal_id.in_(select_continued(appeal_id)),
            psychological_talk.c.done_at.is_(None),
        )
        .order_by(psychological_talk.c.due_at)
    )
    return [BookedTalk(row.id, row.user_name, row.due_at) for row in talks]


async def insert_talk(
    connection: AsyncConnection, appeal_id: UUID, *, user: str, due_at: datetime, author: str
) -> UUID:
    """Book a talk with this psychologist; returns its id."""
    identity = uuid4()
    await connection.execute(
        insert(psychological_talk).values(
            id=identity,
            appeal_id=appeal_id,
            user_name=user,
            due_at=due_at,
            booked_by=author,
            booked_at=datetime.now(UTC),
        )
    )
    return identity


async def mark_done(
    connection: AsyncConnection, appeal_id: UUID, talk_id: UUID, author: str
) -> bool:
    """Mark a booked talk as done; False when none is booked under this id."""
    ended = await connection.execute(
        update(psychological_talk)
        .where(
            psychological_talk.c.id == talk_id,
            psychological_talk.c.appeal_id.in_(select_continued(appeal_id)),
            psychological_talk.c.done_at.is_(None),
        )
        .values(done_at=datetime.now(UTC), done_by=author)
        .returning(psychological_talk.c.id)
    )
    return ended.first() is not None


async def find_same(connection: AsyncConnection, appeal_id: UUID) -> str | None:
    """User name of the active psychologist of the latest talk or note of an appeal."""
    talk = (
        select(psychological_talk.c.user_name, psychological_talk.c.booked_at.label("at"))
        .where(psychological_talk.c.appeal_id.in_(select_continued(appeal_id)))
        .union_all(
            select(
                func.split_part(psychological_note.c.author, ":", 2), psychological_note.c.at
            ).where(psychological_note.c.appeal_id.in_(select_continued(appeal_id)))
        )
        .subquery()
    )
    query = (
        select(talk.c.user_name)
        .join(web_user, web_user.c.name == talk.c.user_name)
        .where(web_user.c.active)
        .order_by(talk.c.at.desc())
    )
    return (await connection.execute(query.limit(1))).scalar_one_or_none()


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the notes and talks of an appeal to the one that it goes on in."""
    for table in (psychological_note, psychological_talk):
        await connection.execute(
            update(table).where(table.c.appeal_id == appeal_id).values(appeal_id=into)
        )
