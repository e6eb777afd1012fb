"""The recordings that a demand matches, in PostgreSQL: searched, proposed and chosen."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Text, and_, func, literal, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.consultants.tables import consultant
from callcenter.demands.rules.matching import Candidate, SearchCriteria, reasons
from callcenter.demands.tables import demand, demand_recording
from callcenter.platform.core.errors import InvalidRequest
from callcenter.recordings.tables import recording

MOST = 1000  #: recordings that one demand may mean


class TooManyMatches(InvalidRequest):
    """More than 1000 recordings fit: the authority has to say more exactly what it demands."""


@dataclass(frozen=True, slots=True)
class Match:
    """A recording matched by a demand. The caller's number is personal data."""

    recording_id: UUID
    appeal_number: str
    caller_number: str | None
    extension: str | None
    consultant_name: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    state: str
    reasons: list[str]
    chosen: bool
    other_demands: list[str]  #: numbers of other demands that found it too

    @property
    def candidate(self) -> Candidate:
        return Candidate(**{name: getattr(self, name) for name in Candidate.__dataclass_fields__})


async def propose(
    connection: AsyncConnection, demand_id: UUID, criteria: SearchCriteria
) -> set[UUID]:
    """Note the recordings that fit, with the reasons; earlier matches stay.

    Raises TooManyMatches, and has noted nothing then.
    """
    query = _candidates().where(*_conditions(criteria)).order_by(recording.c.started_at)
    rows = (await connection.execute(query.limit(MOST + 1))).all()
    if len(rows) > MOST:
        raise TooManyMatches
    why = {each.recording_id: reasons(criteria, each) for each in (Candidate(*row) for row in rows)}
    fitting = {identity: found for identity, found in why.items() if found}
    if fitting:
        await connection.execute(
            insert(demand_recording)
            .values(
                [
                    {
                        "demand_id": demand_id,
                        "recording_id": identity,
                        "reasons": [each.value for each in found],
                        "chosen": False,
                    }
                    for identity, found in fitting.items()
                ]
            )
            .on_conflict_do_nothing()
        )
    return set(fitting)


async def find_fitting(connection: AsyncConnection, criteria: SearchCriteria) -> set[UUID]:
    """The ids of all recordings that may fit, however many: to be held, never shown."""
    query = _candidates().with_only_columns(recording.c.id).where(*_conditions(criteria))
    return set((await connection.execute(query)).scalars())


async def choose(connection: AsyncConnection, demand_id: UUID, chosen: Collection[UUID]) -> None:
    """Mark the recordings to be handed over, and no others.

    Raises InvalidRequest when there are none, or when one was not found or is not stored.
    """
    recording_ids = set(chosen)
    query = (
        select(demand_recording.c.recording_id)
        .join(recording, recording.c.id == demand_recording.c.recording_id)
        .where(
            demand_recording.c.demand_id == demand_id,
            demand_recording.c.recording_id.in_(recording_ids),
            recording.c.state == "stored",
        )
    )
    found = set((await connection.execute(query)).scalars())
    if not recording_ids or found != recording_ids:
        raise InvalidRequest(
            "choose recordings that were found and are stored, or refuse the demand"
        )
    await connection.execute(
        update(demand_recording)
        .where(demand_recording.c.demand_id == demand_id)
        .values(chosen=demand_recording.c.recording_id.in_(recording_ids))
    )


async def matches(
    connection: AsyncConnection, demand_id: UUID, *, chosen: bool = False
) -> list[Match]:
    """The matches of a demand (or only the chosen ones), in the order of the conversations."""
    mine, others = demand_recording, demand_recording.alias()
    numbers = (
        select(func.array_agg(aggregate_order_by(demand.c.number, demand.c.number)))
        .join(others, others.c.demand_id == demand.c.id)
        .where(others.c.recording_id == recording.c.id, others.c.demand_id != demand_id)
        .scalar_subquery()
    )
    query: Select[Any] = (
        select(
            recording.c.id,
            appeal.c.number,
            appeal.c.caller_number,
            consultant.c.extension,
            consultant.c.name,
            recording.c.started_at,
            recording.c.ended_at,
            recording.c.duration_ms,
            recording.c.state,
            mine.c.reasons,
            mine.c.chosen,
            func.coalesce(numbers, literal([], ARRAY(Text))),
        )
        .join(mine, mine.c.recording_id == recording.c.id)
        .join(appeal, appeal.c.id == recording.c.appeal_id)
        .outerjoin(consultant, consultant.c.id == recording.c.consultant_id)
        .where(mine.c.demand_id == demand_id)
        .order_by(recording.c.started_at, recording.c.id)
    )
    if chosen:
        query = query.where(mine.c.chosen)
    return [Match(*row) for row in await connection.execute(query)]


def _candidates() -> Select[Any]:
    """Columns in the order of Candidate."""
    return (
        select(
            recording.c.id.label("recording_id"),
            appeal.c.number,
            appeal.c.caller_number,
            consultant.c.extension,
            recording.c.started_at,
            recording.c.ended_at,
            recording.c.state,
        )
        .join(appeal, appeal.c.id == recording.c.appeal_id)
        .outerjoin(consultant, consultant.c.id == recording.c.consultant_id)
    )


def _conditions(criteria: SearchCriteria) -> list[ColumnElement[bool]]:
    """The conditions that an index can narrow; `matching.reasons` decides."""
    conditions: list[ColumnElement[bool]] = []
    if criteria.appeal_number is not None:
        conditions.append(appeal.c.number == criteria.appeal_number)
    if criteria.caller_number is not None:
        conditions.append(appeal.c.caller_number == criteria.caller_number)
    if criteria.extension is not None:
        conditions.append(consultant.c.extension == criteria.extension)
    if criteria.since is not None and criteria.until is not None:
        ended = func.coalesce(recording.c.ended_at, recording.c.started_at)
        conditions.append(and_(recording.c.started_at < criteria.until, ended >= criteria.since))
    return conditions
