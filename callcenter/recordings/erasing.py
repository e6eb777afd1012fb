"""Erasing a recording: one person asks for it with a reason, another one decides.

What is left is a tombstone: the row of the recording, `erased`, with its times and hashes but no
audio, and the request with both persons. From the decision on nobody can open it; a worker removes
the object within a minute (`recordings.jobs`). A recording that is held is not erased.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import AskedWrongly
from callcenter.recordings import holding
from callcenter.recordings.tables import recording, recording_erasure
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit

LONGEST_TEXT = 1000


class SamePerson(AskedWrongly):
    """Who asked for it may not decide on it: another person must."""


class IsHeld(AskedWrongly):
    """The recording is held, and is not erased while it is."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """A request: `order` is the order that it follows (number and date), if there is one.

    `state` is asked, approved, refused or done; `decided_*` are empty while it is asked for.
    """

    id: UUID
    recording_id: UUID
    state: str
    reason: str
    order: str | None
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """A recording whose time to be kept is over, and the number of its appeal."""

    id: UUID
    started_at: datetime
    appeal: str


_DUE = text(
    """
    SELECT recording.id, started_at, number FROM recording
        JOIN appeal ON appeal.id = appeal_id
        LEFT JOIN record ON record.appeal_id = appeal.id
    WHERE state = 'stored'
        AND started_at < :now - make_interval(
            days => coalesce(
                (CAST(:days AS jsonb) ->> coalesce(kind, ''))::int,
                (CAST(:days AS jsonb) ->> coalesce(outcome, ''))::int,
                (CAST(:days AS jsonb) ->> '*')::int
            )
        )
        AND NOT EXISTS (
            SELECT FROM recording_hold AS held
            WHERE held.recording_id = recording.id AND held.ended_at IS NULL
        )
        AND NOT EXISTS (
            SELECT FROM recording_erasure AS asked
            WHERE asked.recording_id = recording.id AND asked.state IN ('asked', 'refused')
        )
    ORDER BY started_at LIMIT :limit
    """
)
_columns = [recording_erasure.c[name] for name in Erasure.__slots__]


async def ask(
    engine: AsyncEngine, visit: Visit, recording_id: UUID, *, reason: str, order: str | None
) -> UUID:
    """Ask that a stored recording be erased; returns the id of the request.

    Raises NotFound, and AskedWrongly when the reason is missing or it was asked for already.
    """
    reason, order = _text(reason), (order or "").strip()[:LONGEST_TEXT] or None
    identity = uuid4()
    try:
        async with unit_of_work(engine) as connection:
            await _lock(connection, recording_id)
            await connection.execute(
                recording_erasure.insert().values(
                    id=identity,
                    recording_id=recording_id,
                    state="asked",
                    reason=reason,
                    order=order,
                    asked_by=visit.who,
                    asked_at=datetime.now(UTC),
                )
            )
            detail = {"reason": reason} | ({"order": order} if order else {})
            await _note(connection, visit, Action.ERASURE_ASKED, recording_id, detail)
    except IntegrityError as exc:
        raise AskedWrongly("it was asked for already: somebody else must decide") from exc
    return identity


async def decide(
    engine: AsyncEngine, visit: Visit, erasure_id: UUID, *, approve: bool, reason: str
) -> None:
    """Approve or refuse, with a reason. Approved, nobody can open the recording any more.

    Raises NotFound when nothing waits under this id, SamePerson, IsHeld, AskedWrongly without a
    reason.
    """
    reason = _text(reason)
    async with unit_of_work(engine) as connection:
        asked = await _asked(connection, erasure_id)
        if asked.asked_by == visit.who:
            raise SamePerson
        if approve:
            await _lock(connection, asked.recording_id)
            held = await holding.reasons_of(connection, asked.recording_id)
            if held:
                raise IsHeld(f"the recording is held ({', '.join(held)}) and not erased meanwhile")
            await connection.execute(
                update(recording).where(recording.c.id == asked.recording_id).values(state="erased")
            )
        await connection.execute(
            update(recording_erasure)
            .where(recording_erasure.c.id == erasure_id)
            .values(
                state="approved" if approve else "refused",
                decided_by=visit.who,
                decided_at=datetime.now(UTC),
                decision=reason,
            )
        )
        action = Action.ERASURE_APPROVED if approve else Action.ERASURE_REFUSED
        detail = {"reason": reason, "asked_by": asked.asked_by}
        await _note(connection, visit, action, asked.recording_id, detail)


async def waiting(connection: AsyncConnection) -> list[Erasure]:
    """Requests that nobody has decided on, the oldest first."""
    query = select(*_columns).where(recording_erasure.c.state == "asked")
    rows = await connection.execute(query.order_by(recording_erasure.c.asked_at))
    return [Erasure(*row) for row in rows]


async def due(
    connection: AsyncConnection, days: Mapping[str, int], now: datetime, *, limit: int
) -> list[Due]:
    """Stored recordings whose time to be kept is over, the oldest first.

    `days` is by the kind of the appeal's record, else by the outcome of its call, `*` for those
    that are not named; what no rule names is kept for ever. Left out: what is held, and what was
    asked about already.
    """
    rows = await connection.execute(
        _DUE, {"days": json.dumps(dict(days)), "now": now, "limit": limit}
    )
    return [Due(*row) for row in rows]


async def _asked(connection: AsyncConnection, erasure_id: UUID) -> Erasure:
    query = select(*_columns).where(
        recording_erasure.c.id == erasure_id, recording_erasure.c.state == "asked"
    )
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound("nothing waits for a decision under this id: look at the list again")
    return Erasure(*row)


async def _lock(connection: AsyncConnection, recording_id: UUID) -> None:
    """Nobody holds or erases it meanwhile. Raises NotFound when there is none that is stored."""
    query = select(recording.c.id).where(
        recording.c.id == recording_id, recording.c.state == "stored"
    )
    if (await connection.execute(query.with_for_update())).first() is None:
        raise NotFound("there is no stored recording with this id")


async def _note(
    connection: AsyncConnection,
    visit: Visit,
    action: Action,
    recording_id: UUID,
    detail: Mapping[str, str],
) -> None:
    await record(
        connection,
        who=visit.who,
        action=action,
        subject=f"recording:{recording_id}",
        detail=dict(detail),
        from_address=visit.address,
    )


def _text(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_TEXT:
        raise AskedWrongly(f"give a reason, of up to {LONGEST_TEXT} characters")
    return reason
