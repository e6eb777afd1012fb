"""Similar appeals, of the same person or content, while a record is being typed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import store
from callcenter.appeals.record.service import get_appeal, guards_of
from callcenter.appeals.rules.fields import Content
from callcenter.appeals.rules.text_analysis import words
from callcenter.appeals.search import query
from callcenter.appeals.search.query import SearchFilter, SearchHit
from callcenter.platform.identity.actor import Actor, audit_action_once
from callcenter.platform.storage.engine import unit_of_work

HIT_LIMIT = 5
PEOPLE_LIMIT = 4  # values of people that are looked up
WORD_COUNT = 3  # words of the content that must match
WORD_MIN_LENGTH = 5  # letters
AUDIT_INTERVAL = timedelta(hours=1)  # one audit entry for all typing within it

_OF_PERSON = (".identifier", ".phone", ".name")


@dataclass(frozen=True, slots=True)
class Similar:
    """Appeals of the same people (`same`), and others of similar content (`alike`)."""

    same: list[SearchHit]
    alike: list[SearchHit]


async def similar(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, typed: Content
) -> Similar:
    """Up to five of each, by fields that the actor may see; audited once an hour.

    Raises NotFound.
    """
    guards = guards_of(actor)
    async with unit_of_work(engine) as connection:
        this = await get_appeal(connection, number)
        form = await store.read_form(connection)
        visible = form.visible(typed, guards)

        async def first(questions: Iterable[str], excluded: set[str]) -> list[SearchHit]:
            hits: dict[str, SearchHit] = {}
            for question in questions:
                for hit in await query.find(
                    connection, keys, SearchFilter(question), guards, limit=HIT_LIMIT + 1
                ):
                    if hit.number not in excluded:
                        hits[hit.number] = hit
                if len(hits) >= HIT_LIMIT:
                    break
            return list(hits.values())[:HIT_LIMIT]

        same = await first(_people_values(visible), {this.number})
        numbers = {this.number, *(each.number for each in same)}
        alike = await first(_distinctive_words(visible), numbers)
        if same or alike:
            await audit_action_once(
                connection,
                actor,
                AppealAction.APPEALS_SEARCHED,
                f"appeal:{number}",
                {"by": "typing"},
                within=AUDIT_INTERVAL,
            )
    return Similar(same, alike)


def _people_values(content: Content) -> list[str]:
    """Values that identify people, numbers before names, since a number is of one person."""
    values = [
        value.strip()[:200]
        for ending in _OF_PERSON
        for key, value in content.items()
        if key.endswith(ending) and isinstance(value, str) and len(value.strip()) >= WORD_MIN_LENGTH
    ]
    return list(dict.fromkeys(values))[:PEOPLE_LIMIT]


def _distinctive_words(content: Content) -> Iterator[str]:
    """Queries of the longest words of the content, then of fewer of them."""
    text = content.get("content", "")
    found = dict.fromkeys(words(text if isinstance(text, str) else ""))
    longest = sorted(
        (each for each in found if len(each) >= WORD_MIN_LENGTH), key=len, reverse=True
    )
    for count in (WORD_COUNT, WORD_COUNT - 1):
        if len(longest) >= count:
            yield " ".join(longest[:count])
