"""What is known of the same person, and appeals that are alike, while a record is being typed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from callcenter.audit.actions import Action
from callcenter.audit.store import record_once
from callcenter.register import definitions, searching
from callcenter.register.fields import Content
from callcenter.register.handling import found, guards_of
from callcenter.register.private import Keys
from callcenter.register.searching import Found, Question
from callcenter.register.words import words
from callcenter.storage.engine import unit_of_work
from callcenter.web.site import Site, Visit

SHOWN = 5
PEOPLE = 4  # of those who are typed, that are looked up
TELLING = 3  # words of the text that must be alike
SHORTEST = 5  # letters of a telling word
AGAIN = timedelta(hours=1)  # within which typing is one look at the register, for the audit log

_OF_PERSON = (".identifier", ".phone", ".name")


@dataclass(frozen=True, slots=True)
class Similar:
    """Appeals of somebody who is typed here, and others that tell of the same."""

    same: list[Found]
    alike: list[Found]


async def similar(site: Site, visit: Visit, number: str, typed: Content) -> Similar:
    """Up to five of each, by what this person sees; an entry in the audit log once an hour.

    Raises NotFound.
    """
    guards, keys = guards_of(visit), Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        this = await found(connection, number)
        form = await definitions.form(connection)
        visible = form.visible(typed, guards)

        async def first(questions: Iterable[str], known: set[str]) -> list[Found]:
            hits: dict[str, Found] = {}
            for question in questions:
                for hit in await searching.find(
                    connection, keys, Question(question), guards, limit=SHOWN + 1
                ):
                    if hit.number not in known:
                        hits[hit.number] = hit
                if len(hits) >= SHOWN:
                    break
            return list(hits.values())[:SHOWN]

        same = await first(_people(visible), {this.number})
        known = {this.number, *(each.number for each in same)}
        alike = await first(_telling(visible), known)
        if same or alike:
            await record_once(
                connection,
                within=AGAIN,
                who=visit.who,
                action=Action.APPEALS_SEARCHED,
                subject=f"appeal:{number}",
                detail={"by": "typing"},
                from_address=visit.address,
            )
    return Similar(same, alike)


def _people(content: Content) -> list[str]:
    """Numbers before names, since they name one person."""
    values = [
        value.strip()[:200]
        for ending in _OF_PERSON
        for key, value in content.items()
        if key.endswith(ending) and isinstance(value, str) and len(value.strip()) >= SHORTEST
    ]
    return list(dict.fromkeys(values))[:PEOPLE]


def _telling(content: Content) -> Iterator[str]:
    """The longest words of the text, then fewer of them."""
    text = content.get("content", "")
    known = dict.fromkeys(words(text if isinstance(text, str) else ""))
    longest = sorted((each for each in known if len(each) >= SHORTEST), key=len, reverse=True)
    for count in (TELLING, TELLING - 1):
        if len(longest) >= count:
            yield " ".join(longest[:count])
