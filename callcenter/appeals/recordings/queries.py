"""Search of stored recordings by their own values and those of their appeals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.tables import appeal
from callcenter.consultants.tables import consultant
from callcenter.platform.core import pagination
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.teams import select_oneself, select_team
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.tables import recording

#: Recordings on a page.
PAGE = 50

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Filter of a search; what is empty or None does not matter.

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
class RecordingHit:
    """Stored recording with values of its appeal; the consultant is the one heard.

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


async def search(
    engine: AsyncEngine, actor: Actor, criteria: RecordingFilter, before: str
) -> list[RecordingHit]:
    """Find recordings of a page and one more; audited if filtered.

    `before` is the cursor of the page, "" of the first. Raises InvalidRequest: it is not ours.
    """
    place = pagination.read(before) if before else None
    filters = [
        name
        for name in RecordingFilter.__slots__
        if name not in ("team_of", "own_of") and getattr(criteria, name) not in ("", None)
    ]
    async with unit_of_work(engine) as connection:
        rows = await find(connection, criteria, before=place, limit=PAGE + 1)
        if filters:
            detail: dict[str, str | int] = {"filters": " ".join(filters), "found": len(rows)}
            await audit_action(
                connection, actor, AppealAction.RECORDINGS_SEARCHED, "recordings", detail
            )
    return rows


async def find(
    connection: AsyncConnection,
    criteria: RecordingFilter,
    *,
    before: tuple[datetime, UUID] | None = None,
    limit: int = PAGE,
) -> list[RecordingHit]:
    """Find recordings, the newest first, from behind `before` (started_at and id) on."""
    query = _rows().limit(limit)
    if criteria.consultant or criteria.team_of or criteria.own_of:
        found = await connection.execute(_consultants(criteria))
        query = query.where(_of_consultants([row.id for row in found]))
    query = query.order_by(recording.c.started_at.desc(), recording.c.id.desc())
    if before is not None:
        query = query.where(tuple_(recording.c.started_at, recording.c.id) < tuple_(*before))
    for condition in _conditions(criteria):
        query = query.where(condition)
    return [RecordingHit(*row) for row in await connection.execute(query)]


async def find_by_id(connection: AsyncConnection, recording_id: UUID) -> RecordingHit | None:
    """Find the stored recording with this id."""
    row = (await connection.execute(_rows().where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else RecordingHit(*row)


def _rows() -> Select[Any]:
    """Select columns in the order of RecordingHit."""
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


def _consultants(criteria: RecordingFilter) -> Select[tuple[UUID]]:
    """Select the ids of consultants that a search is about.

    They are few; recordings are looked up by ids, which an index serves in the order of time.
    """
    query = select(consultant.c.id)
    if criteria.consultant:
        in_name = func.strpos(func.lower(consultant.c.name), func.lower(criteria.consultant)) > 0
        query = query.where(or_(consultant.c.extension == criteria.consultant, in_name))
    if criteria.team_of is not None:
        query = query.where(consultant.c.id.in_(select_team(criteria.team_of)))
    if criteria.own_of is not None:
        query = query.where(consultant.c.id.in_(select_oneself(criteria.own_of)))
    return query


def _of_consultants(ids: Sequence[UUID]) -> ColumnElement[bool]:
    # Of one alone the index gives the newest first without sorting.
    column = recording.c.consultant_id
    return column == ids[0] if len(ids) == 1 else column.in_(ids)


def _conditions(criteria: RecordingFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if criteria.appeal_number:
        conditions.append(appeal.c.number == criteria.appeal_number)
    if criteria.caller_number:
        conditions.append(appeal.c.caller_number == criteria.caller_number)
    if criteria.language:
        conditions.append(recording.c.call_language == criteria.language)
    if criteria.outcome:
        conditions.append(recording.c.call_outcome == criteria.outcome)
    if criteria.since is not None:
        conditions.append(recording.c.started_at >= criteria.since)
    if criteria.until is not None:
        conditions.append(recording.c.started_at < criteria.until)
    if criteria.shortest is not None:
        conditions.append(recording.c.duration_ms >= criteria.shortest // _MILLISECOND)
    if criteria.longest is not None:
        conditions.append(recording.c.duration_ms <= criteria.longest // _MILLISECOND)
    return conditions
