"""Reading the register for somebody: what pages and API have in common."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from callcenter.appeals import cursor, outgoing, store
from callcenter.appeals.cut_off import is_to_decide
from callcenter.appeals.hang_ups import A_MOMENT, unexplained
from callcenter.appeals.wording import Wording
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.recordings import store as recordings
from callcenter.recordings.listening import audible
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit, language_of

#: Rows on a page of the list.
PAGE = 50

_TEN_DIGITS = re.compile(r"[0-9]{10}")


@dataclass(frozen=True)
class Viewed:
    """All that is known of an appeal."""

    row: store.AppealRow
    events: list[store.EventRow]
    recordings: list[recordings.RecordingRow]
    audible: frozenset[UUID]  #: those of them that whoever looks may hear
    calls_unwanted: bool  #: the caller asked not to be called
    reason_missing: bool  #: the consultant hung up and has not said why
    is_cut_off: bool  #: by a fault: somebody has to decide whether the caller is called back
    agreed: tuple[str, str] | None  #: with a frequent caller: times, and a note for who answers


async def newest(
    engine: AsyncEngine, after: str | None, limit: int
) -> tuple[list[store.AppealRow], str | None]:
    """Up to `limit` appeals, the newest first, and the cursor of the next page if there is more.

    `after` is the cursor of the page before. Raises AskedWrongly when it is not one of ours.
    """
    before = cursor.read(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await store.newest(connection, before=before, limit=limit + 1)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursor.write((last.received_at, last.id))


async def view(engine: AsyncEngine, visit: Visit, number: str, *, by: str) -> Viewed:
    """One appeal, with an entry in the audit log that `visit` saw it, by `page` or by `api`.

    Raises NotFound when there is none of this number.
    """
    if _TEN_DIGITS.fullmatch(number) is None:
        raise NotFound("an appeal's number has ten digits")
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        if row is None:
            raise NotFound("there is no appeal with this number")
        recorded = await recordings.of_appeal(connection, row.id)
        viewed = Viewed(
            row=row,
            events=await store.events(connection, row.id),
            recordings=recorded,
            audible=await audible(connection, visit, recorded),
            calls_unwanted=row.caller_number is not None
            and await outgoing.is_unwanted(connection, row.caller_number),
            reason_missing=bool(
                await unexplained(connection, row.received_at - A_MOMENT, row.number)
            ),
            is_cut_off=await is_to_decide(connection, row.number, datetime.now(UTC)),
            agreed=await store.agreed_with(connection, row.caller_number or ""),
        )
        await record(
            connection,
            who=visit.who,
            action=Action.APPEAL_VIEWED,
            subject=f"appeal:{row.number}",
            detail={"by": by},
            from_address=visit.address,
        )
    return viewed


def wording_for(request: Request, site: Site, visit: Visit) -> Wording:
    """Words in the language of this page, with numbers of callers as the person may see them."""
    return Wording(
        words=site.words[language_of(request)],
        whole_numbers=visit.may(Permission.SEE_CALLER_NUMBER),
    )
