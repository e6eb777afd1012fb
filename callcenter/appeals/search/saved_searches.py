"""Saved searches of users. Their words are personal data, and encrypted."""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.search import saved_searches_store as store
from callcenter.appeals.search.query import CODES, SearchFilter
from callcenter.appeals.search.saved_searches_store import SavedSearch
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

COUNT_LIMIT = 30  # of one person
NAME_LENGTH_LIMIT = 60  # characters of a name


async def save(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, name: str, question: SearchFilter
) -> SavedSearch:
    """Save a search under a name, replacing an earlier one. Raises InvalidRequest."""
    name, who = " ".join(name.split()), actor.name
    if (
        not name
        or len(name) > NAME_LENGTH_LIMIT
        or not name.isprintable()
        or question == SearchFilter()
    ):
        raise InvalidRequest(
            f"a name of up to {NAME_LENGTH_LIMIT} characters is needed, and a search"
        )
    async with unit_of_work(engine) as connection:
        if await store.count_others(connection, who, name) >= COUNT_LIMIT:
            raise InvalidRequest(f"{COUNT_LIMIT} searches are kept already: remove one")
        return await store.put(connection, keys, who, name, as_query(question))


async def delete(engine: AsyncEngine, actor: Actor, identity: UUID) -> None:
    """Delete a search of the actor; one that is not there, or not theirs, is ignored."""
    async with unit_of_work(engine) as connection:
        await store.delete(connection, actor.name, identity)


async def list_own(engine: AsyncEngine, keys: RecordKeys, actor: Actor) -> Sequence[SavedSearch]:
    """The searches of the actor, by name. Raises DecryptionFailed."""
    async with unit_of_work(engine) as connection:
        return await store.list_of_user(connection, keys, actor.name)


def as_query(question: SearchFilter) -> str:
    """The query string of a search, as `web.search_query` reads it."""
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
