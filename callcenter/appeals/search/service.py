"""Searches and work lists of an actor, a page at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.search import query, worklists
from callcenter.appeals.search.query import SearchFilter, SearchHit
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.platform.audit.rules.hash_chain import Detail
from callcenter.platform.core import pagination
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

PAGE = query.LIMIT  # rows


@dataclass(frozen=True, slots=True)
class HitPage:
    """A page of hits, and the cursor of the next one if there is one."""

    rows: Sequence[SearchHit]
    following: str | None


async def search(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    question: SearchFilter,
    after: str = "",
    limit: int = PAGE,
) -> HitPage:
    """Search appeals, with an entry in the audit log; an empty filter finds nothing.

    `after` is the cursor of the page before. Raises InvalidRequest when it is not one of ours.
    """
    if question == SearchFilter():
        return HitPage([], None)
    place = pagination.read(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await query.find(
            connection,
            keys,
            question,
            guards_of(actor),
            after=place,
            limit=limit + 1,
        )
        detail = {"words": len(question.text.split()), "found": len(rows)}
        await audit_action(connection, actor, AppealAction.APPEALS_SEARCHED, "appeals", detail)
    return _page(
        rows,
        limit,
        lambda last: pagination.write(place_after(last, by_deadline=question.by_deadline)),
    )


async def list_newest(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, after: str = ""
) -> HitPage:
    """List all appeals, the newest first. Raises InvalidRequest for a foreign cursor."""
    place = pagination.read(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await query.find(connection, keys, SearchFilter(), guards_of(actor), after=place)
    return _page(rows, PAGE, lambda last: pagination.write(place_after(last, by_deadline=False)))


async def list_owners(engine: AsyncEngine) -> list[str]:
    """Names of the users who may own an appeal."""
    async with unit_of_work(engine) as connection:
        people = await users.all_users(connection)
    return [each.name for each in people if each.role in AppealPermission.EDIT_APPEALS.granted_to]


async def count_lists(engine: AsyncEngine, actor: Actor) -> dict[WorkList, int]:
    """Count what is on each work list of the actor, up to `worklists.LIMIT`."""
    async with unit_of_work(engine) as connection:
        return await worklists.counts(connection, _reader(actor))


async def read_list(
    engine: AsyncEngine, actor: Actor, which: WorkList, after: str = "", limit: int = PAGE
) -> HitPage:
    """Read a work list of the actor, by deadline. Raises InvalidRequest for a foreign cursor."""
    place = pagination.read_due(after) if after else None
    async with unit_of_work(engine) as connection:
        rows = await worklists.read(
            connection,
            which,
            _reader(actor),
            after=place,
            limit=limit + 1,
        )
        if rows:
            list_detail: Detail = {"list": which.key, "found": len(rows)}
            await audit_action(
                connection, actor, AppealAction.APPEALS_SEARCHED, "appeals", list_detail
            )
    return _page(
        rows,
        limit,
        lambda last: pagination.write_due(last.due_on or date.max, (last.received_at, last.id)),
    )


def _page(rows: list[SearchHit], limit: int, place: Callable[[SearchHit], str]) -> HitPage:
    if len(rows) <= limit:
        return HitPage(rows, None)
    return HitPage(rows[:limit], place(rows[limit - 1]))


def place_after(last: SearchHit, *, by_deadline: bool) -> pagination.Place:
    """The place in a search after this hit."""
    due = datetime.combine(last.due_on, time(), UTC) if by_deadline and last.due_on else None
    return due or last.received_at, last.id


def _reader(actor: Actor) -> WorkListReader:
    now = datetime.now(UTC)
    return WorkListReader(actor.name, now.astimezone(ZONE).date(), now)
