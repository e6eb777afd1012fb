"""Read models of appeals, for pages and the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store
from callcenter.appeals.calls.dropped_calls import DroppedCall, is_undecided, list_undecided
from callcenter.appeals.calls.sections import CallSection, read_sections
from callcenter.appeals.extensions import CallerDetails, CallsUnwanted
from callcenter.appeals.rules.number import is_valid
from callcenter.platform.core import pagination
from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store as recordings
from callcenter.recordings.playback.access import audible

#: Rows on a page of the list.
PAGE = 50


@dataclass(frozen=True)
class AppealView:
    """Appeal with its events, recordings and open questions, for one reader."""

    row: store.AppealRow
    events: list[store.EventRow]
    recordings: list[recordings.RecordingRow]
    audible: frozenset[UUID]  #: ids of recordings that the reader may hear
    calls_unwanted: bool  #: the caller asked not to be called
    is_cut_off: bool  #: by a fault: whether to call the caller back is undecided
    caller_details: list[tuple[str, str]]  #: that other rooms have: labels and texts
    sections: list[tuple[CallSection, object]]  #: of other rooms, each with what it shows


async def are_calls_unwanted(connection: AsyncConnection, number: str | None) -> bool:
    """Whether the person at this number asked not to be called."""
    if number is None:
        return False
    return any([await each.read(connection, number) for each in offers(CallsUnwanted)])


async def newest(
    engine: AsyncEngine, after: str | None, limit: int
) -> tuple[list[store.AppealRow], str | None]:
    """Return up to `limit` appeals, the newest first, and the cursor of the next page if any.

    `after` is the cursor of the page before. Raises InvalidRequest when it is not one of ours.
    """
    before = pagination.read(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await store.newest(connection, before=before, limit=limit + 1)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], pagination.write((last.received_at, last.id))


async def view(engine: AsyncEngine, actor: Actor, number: str, *, by: str) -> AppealView:
    """Return an appeal, with an audit entry that the actor viewed it, by `page` or `api`.

    With an empty `by` the caller leaves the entry. Raises NotFound.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number) if is_valid(number) else None
        if row is None:
            raise NotFound("there is no appeal with this number")
        recorded = await recordings.of_appeal(connection, row.id)
        viewed = AppealView(
            row=row,
            events=await store.events(connection, row.id),
            recordings=recorded,
            audible=await audible(connection, actor, recorded),
            calls_unwanted=await are_calls_unwanted(connection, row.caller_number),
            is_cut_off=await is_undecided(connection, row.number, datetime.now(UTC)),
            caller_details=await read_caller_details(connection, row.caller_number),
            sections=await read_sections(connection, actor, row),
        )
        if by:
            subject = f"appeal:{row.number}"
            await audit_action(connection, actor, AppealAction.APPEAL_VIEWED, subject, {"by": by})
    return viewed


async def read_caller_details(
    connection: AsyncConnection, number: str | None
) -> list[tuple[str, str]]:
    """Details about a caller by other rooms: labels to translate, each with its text."""
    if number is None:
        return []
    return [
        detail for each in offers(CallerDetails) for detail in await each.read(connection, number)
    ]


async def undecided_drops(engine: AsyncEngine) -> Sequence[DroppedCall]:
    """Return dropped calls about which nobody has decided yet, the urgent first."""
    async with unit_of_work(engine) as connection:
        return await list_undecided(connection, datetime.now(UTC))
