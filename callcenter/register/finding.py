"""Finding appeals for somebody, a page at a time: what pages, API and export have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from fastapi import Query

from callcenter.appeals import cursor
from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.register import lists, searching
from callcenter.register.handling import guards_of
from callcenter.register.lists import List
from callcenter.register.private import Keys
from callcenter.register.searching import Found, Question
from callcenter.register.stages import Kind, Stage
from callcenter.storage.engine import unit_of_work
from callcenter.web import store as users
from callcenter.web.permissions import GRANTS, Permission
from callcenter.web.site import Site, Visit
from callcenter.web.words import ZONE, midnight

PAGE = searching.LIMIT  # rows
Code = Annotated[str, Query(max_length=40)]
Cursor = Annotated[str, Query(max_length=40, description="`next` of the page before")]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was found, and where the next page begins, if there is one."""

    rows: Sequence[Found]
    following: str | None


def asked(
    q: Annotated[
        str, Query(max_length=200, description="number, telephone, ИИН, name or words")
    ] = "",
    stage: Stage | Literal[""] = "",
    kind: Kind | Literal[""] = "",
    channel: Code = "",
    direction: Annotated[Code, Query(description="of the 13 of point 10 of the Rules")] = "",
    topic: Annotated[Code, Query(description="its parts count too")] = "",
    region: Code = "",
    district: Code = "",
    owner: Annotated[Code, Query(description="name of the user who answers for it")] = "",
    urgent: Annotated[bool, Query(description="a report of danger, or urgent otherwise")] = False,
    since: date | Literal[""] = "",
    until: Annotated[
        date | Literal[""], Query(description="the last day, which counts (Asia/Almaty)")
    ] = "",
    by_deadline: bool = False,
) -> Question:
    """What is looked for, as it stands in the address."""
    return Question(
        text=q,
        stages=(stage,) if stage else (),
        kind=kind or None,
        channel=channel,
        direction=direction,
        topic=topic,
        region=region,
        district=district,
        owner=owner.strip(),
        urgent=urgent,
        since=midnight(since) if since else None,
        until=midnight(until + timedelta(days=1)) if until and until != date.max else None,
        by_deadline=by_deadline,
    )


async def search(
    site: Site, visit: Visit, question: Question, after: str = "", limit: int = PAGE
) -> Page:
    """What fits the question, with an entry in the audit log; without one nothing, and no entry.

    `after` is the cursor of the page before. Raises AskedWrongly when it is not one of ours.
    """
    if question == Question():
        return Page([], None)
    place = cursor.read(after) if after else None
    async with unit_of_work(site.engine) as connection:
        rows = await searching.find(
            connection,
            Keys.read(site.settings),
            question,
            guards_of(visit),
            after=place,
            limit=limit + 1,
        )
        await audit(
            connection,
            who=visit.who,
            action=Action.APPEALS_SEARCHED,
            subject="appeals",
            detail={"words": len(question.text.split()), "found": len(rows)},
            from_address=visit.address,
        )
    return _page(
        rows, limit, lambda last: cursor.write(place_of(last, by_deadline=question.by_deadline))
    )


async def owners(site: Site) -> list[str]:
    """Names of the users who may answer for an appeal."""
    async with unit_of_work(site.engine) as connection:
        people = await users.all_users(connection)
    return [each.name for each in people if Permission.EDIT_APPEALS in GRANTS[each.role]]


async def counts(site: Site, visit: Visit) -> dict[List, int]:
    """How long each work list of this person is, up to `lists.LIMIT`."""
    now = datetime.now(UTC)
    async with unit_of_work(site.engine) as connection:
        return await lists.counts(connection, _name(visit), today=_today(now), now=now)


async def work(site: Site, visit: Visit, which: List, after: str = "", limit: int = PAGE) -> Page:
    """A work list of this person, by deadline. Raises AskedWrongly for no cursor of ours."""
    now = datetime.now(UTC)
    place = cursor.read_due(after) if after else None
    async with unit_of_work(site.engine) as connection:
        rows = await lists.read(
            connection,
            which,
            _name(visit),
            today=_today(now),
            now=now,
            after=place,
            limit=limit + 1,
        )
    return _page(
        rows,
        limit,
        lambda last: cursor.write_due(last.due_on or date.max, (last.received_at, last.id)),
    )


def _page(rows: list[Found], limit: int, place: Callable[[Found], str]) -> Page:
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], place(rows[limit - 1]))


def place_of(last: Found, *, by_deadline: bool) -> cursor.Place:
    """Where a search goes on after this one."""
    due = datetime.combine(last.due_on, time(), UTC) if by_deadline and last.due_on else None
    return due or last.received_at, last.id


def _name(visit: Visit) -> str:
    return visit.who.removeprefix("user:")


def _today(now: datetime) -> date:
    return now.astimezone(ZONE).date()
