"""Searches that a person keeps by a name. What was looked for is personal data: encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from callcenter.errors import AskedWrongly
from callcenter.register.private import Keys
from callcenter.register.searching import CODES, Question
from callcenter.register.tables import saved_view
from callcenter.storage.engine import unit_of_work
from callcenter.web.site import Site, Visit

MOST = 30  # of one person
LONGEST = 60  # characters of a name


@dataclass(frozen=True, slots=True)
class View:
    """A kept search; `query` is what stands behind `/search?`."""

    id: UUID
    name: str
    query: str


async def keep(site: Site, visit: Visit, name: str, question: Question) -> View:
    """Keep a search under a name, in the place of an earlier one. Raises AskedWrongly."""
    name, who = " ".join(name.split()), visit.who.removeprefix("user:")
    if not name or len(name) > LONGEST or not name.isprintable() or question == Question():
        raise AskedWrongly(f"a name of up to {LONGEST} characters is needed, and a search")
    view, keys = View(uuid4(), name, as_query(question)), Keys.read(site.settings)
    values = {"id": view.id, "sealed": keys.seal(view.id, {"query": view.query})}
    async with unit_of_work(site.engine) as connection:
        others = (saved_view.c.user_name == who) & (saved_view.c.name != name)
        count = select(func.count()).select_from(saved_view).where(others)
        if (await connection.execute(count)).scalar_one() >= MOST:
            raise AskedWrongly(f"{MOST} searches are kept already: remove one")
        await connection.execute(
            upsert(saved_view)
            .values(user_name=who, name=name, **values)
            .on_conflict_do_update(index_elements=["user_name", "name"], set_=values)
        )
    return view


async def drop(site: Site, visit: Visit, identity: UUID) -> None:
    """Keep it no more; again, and of somebody else, it is nothing."""
    own = saved_view.c.user_name == visit.who.removeprefix("user:")
    async with unit_of_work(site.engine) as connection:
        await connection.execute(delete(saved_view).where(own, saved_view.c.id == identity))


async def of(site: Site, visit: Visit) -> Sequence[View]:
    """Those of this person, by name. Raises Unreadable."""
    keys, who = Keys.read(site.settings), visit.who.removeprefix("user:")
    async with unit_of_work(site.engine) as connection:
        query = select(saved_view).where(saved_view.c.user_name == who).order_by(saved_view.c.name)
        return [
            View(row.id, row.name, keys.open(row.id, row.sealed)["query"])
            for row in await connection.execute(query)
        ]


def as_query(question: Question) -> str:
    """The question as it stands in the address of the search (see finding.asked)."""
    values = {
        "q": question.text,
        "stage": "".join(question.stages),
        "kind": question.kind or "",
        **{name: getattr(question, name) for name in CODES},
        "urgent": "true" if question.urgent else "",
        "since": f"{question.since:%Y-%m-%d}" if question.since else "",
        "until": f"{question.until - timedelta(days=1):%Y-%m-%d}" if question.until else "",
        "by_deadline": "true" if question.by_deadline else "",
    }
    return urlencode({key: value for key, value in values.items() if value})
