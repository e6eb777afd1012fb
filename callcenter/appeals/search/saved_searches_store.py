"""Saved searches of users in PostgreSQL; their words are sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.tables import saved_view


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A saved search; `query` is the query string of `/search`."""

    id: UUID
    name: str
    query: str


async def count_others(connection: AsyncConnection, user: str, name: str) -> int:
    """Count the searches of a user under other names."""
    others = (saved_view.c.user_name == user) & (saved_view.c.name != name)
    count = select(func.count()).select_from(saved_view).where(others)
    return int((await connection.execute(count)).scalar_one())


async def put(
    connection: AsyncConnection, keys: RecordKeys, user: str, name: str, query: str
) -> SavedSearch:
    """Store a search of a user, in place of the one with that name."""
    view = SavedSearch(uuid4(), name, query)
    values = {"id": view.id, "sealed": keys.seal(view.id, {"query": view.query})}
    await connection.execute(
        upsert(saved_view)
        .values(user_name=user, name=name, **values)
        .on_conflict_do_update(index_elements=["user_name", "name"], set_=values)
    )
    return view


async def delete(connection: AsyncConnection, user: str, identity: UUID) -> None:
    """Delete a search of a user; one that is not there, or not theirs, is ignored."""
    own = saved_view.c.user_name == user
    await connection.execute(delete_from(saved_view).where(own, saved_view.c.id == identity))


async def list_of_user(
    connection: AsyncConnection, keys: RecordKeys, user: str
) -> Sequence[SavedSearch]:
    """The searches of a user, by name. Raises DecryptionFailed."""
    query = select(saved_view).where(saved_view.c.user_name == user).order_by(saved_view.c.name)
    return [
        SavedSearch(row.id, row.name, keys.open(row.id, row.sealed)["query"])
        for row in await connection.execute(query)
    ]
