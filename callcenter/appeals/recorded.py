"""Finding stored recordings by what is known of them and their appeals, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal_column, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.store import consultant
from callcenter.appeals.tables import appeal
from callcenter.recordings.tables import recording

#: Recordings on a page.
PAGE = 50

_MILLISECOND = timedelta(milliseconds=1)

# Names are few; recordings are looked up by ids, which an index serves in the order of time.
_CONSULTANTS = text(
    """
    SELECT heard.id FROM consultant AS heard
    WHERE (:named = '' OR heard.extension = :named OR strpos(lower(heard.name), lower(:named)) > 0)
        AND (CAST(:team_of AS uuid) IS NULL OR EXISTS (
            SELECT FROM web_user JOIN consultant AS own ON own.id = web_user.consultant_id
            WHERE web_user.id = :team_of AND own.team IS NOT DISTINCT FROM heard.team
        ))
        AND (CAST(:own_of AS uuid) IS NULL OR heard.id IN (
            SELECT web_user.consultant_id FROM web_user WHERE web_user.id = :own_of
        ))
    """
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for; what is empty or None does not matter.

    `caller_number` is E.164 or a short number, `consultant` an extension or a part of the name,
    `team_of` the user to whose team the search is kept, `own_of` the one to whose conversations.
    """

    appeal_number: str = ""
    caller_number: str = ""
    consultant: str = ""
    since: datetime | None = None
    until: datetime | None = None
    language: str = ""
    outcome: str = ""
    shortest: timedelta | None = None
    longest: timedelta | None = None
    team_of: UUID | None = None
    own_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored recording with what is known of its appeal; the consultant is the one heard.

    `caller_number` is personal data: mask it.
    """

    id: UUID
    started_at: datetime
    duration_ms: int
    appeal_number: str
    language: str | None
    caller_kind: str
    caller_number: str | None
    outcome: str | None
    consultant_name: str | None
    consultant_extension: str | None


async def find(
    connection: AsyncConnection,
    question: Question,
    *,
    before: tuple[datetime, UUID] | None = None,
    limit: int = PAGE,
) -> list[Recorded]:
    """Recordings that fit, the newest first, from behind `before` (started_at and id) on."""
    query = _rows().limit(limit)
    if question.consultant or question.team_of or question.own_of:
        values = {
            "named": question.consultant,
            "team_of": question.team_of,
            "own_of": question.own_of,
        }
        heard = (await connection.execute(_CONSULTANTS, values)).scalars().all()
        query = query.where(_of_consultants(heard))
    query = query.order_by(recording.c.started_at.desc(), recording.c.id.desc())
    if before is not None:
        query = query.where(tuple_(recording.c.started_at, recording.c.id) < tuple_(*before))
    for condition in _conditions(question):
        query = query.where(condition)
    return [Recorded(*row) for row in await connection.execute(query)]


async def of_id(connection: AsyncConnection, recording_id: UUID) -> Recorded | None:
    """The stored recording with this id."""
    row = (await connection.execute(_rows().where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else Recorded(*row)


def _rows() -> Select[Any]:
    """Columns in the order of Recorded."""
    return (
        select(
            recording.c.id,
            recording.c.started_at,
            func.coalesce(recording.c.duration_ms, 0),
            appeal.c.number,
            appeal.c.language,
            appeal.c.caller_kind,
            appeal.c.caller_number,
            appeal.c.outcome,
            consultant.c.name,
            consultant.c.extension,
        )
        .join_from(recording, appeal, appeal.c.id == recording.c.appeal_id)
        .outerjoin(consultant, consultant.c.id == recording.c.consultant_id)
        # No parameter: a plan made for any state could not use the indexes of this one.
        .where(recording.c.state == literal_column("'stored'"))
    )


def _of_consultants(ids: Sequence[UUID]) -> ColumnElement[bool]:
    # Of one alone the index gives the newest first without sorting.
    column = recording.c.consultant_id
    return column == ids[0] if len(ids) == 1 else column.in_(ids)


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if question.appeal_number:
        conditions.append(appeal.c.number == question.appeal_number)
    if question.caller_number:
        conditions.append(appeal.c.caller_number == question.caller_number)
    if question.language:
        conditions.append(recording.c.call_language == question.language)
    if question.outcome:
        conditions.append(recording.c.call_outcome == question.outcome)
    if question.since is not None:
        conditions.append(recording.c.started_at >= question.since)
    if question.until is not None:
        conditions.append(recording.c.started_at < question.until)
    if question.shortest is not None:
        conditions.append(recording.c.duration_ms >= question.shortest // _MILLISECOND)
    if question.longest is not None:
        conditions.append(recording.c.duration_ms <= question.longest // _MILLISECOND)
    return conditions
