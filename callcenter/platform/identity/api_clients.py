"""API clients: programs such as the portal, each authenticated by its token."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.permissions import Permission
from callcenter.platform.identity.store import check_name, hash_of
from callcenter.platform.identity.tables import machine


@dataclass(frozen=True, slots=True)
class ApiClient:
    """An API client, active or revoked. Its token has no permission beside the `scopes`."""

    name: str
    scopes: Sequence[str]
    created_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None


async def add(
    connection: AsyncConnection, name: str, token: str, scopes: Collection[Permission]
) -> None:
    """Add the API client NAME with this token for these scopes; only its hash is stored.

    Raises InvalidRequest when the name is or was in use.
    """
    check_name(name)
    added = await connection.execute(
        insert(machine)
        .values(name=name, token_hash=hash_of(token), scopes=sorted(scopes))
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(machine.c.name)
    )
    if added.one_or_none() is None:
        raise InvalidRequest(
            f"there is an API client {name} already, or was: renew it, or choose another name"
        )


async def renew(connection: AsyncConnection, name: str, token: str) -> None:
    """Replace the token of an API client, also of a revoked one: it goes on under its name.

    Raises InvalidRequest when there is none.
    """
    await _change(connection, name, token_hash=hash_of(token), revoked_at=None)


async def revoke(connection: AsyncConnection, name: str) -> None:
    """Revoke the token of an API client, at once. Raises InvalidRequest when there is none."""
    await _change(connection, name, machine.c.revoked_at.is_(None), revoked_at=datetime.now(UTC))


async def list_all(connection: AsyncConnection) -> list[ApiClient]:
    """All API clients, also revoked ones, by name."""
    columns = (machine.c[each] for each in ApiClient.__slots__)
    rows = await connection.execute(select(*columns).order_by(machine.c.name))
    return [ApiClient(*row) for row in rows]


async def of_token(connection: AsyncConnection, token: str) -> ApiClient | None:
    """The API client with this token; None for any other text."""
    matches = machine.c.token_hash == hash_of(token)
    columns = (machine.c[each] for each in ApiClient.__slots__)
    query = select(*columns).where(matches, machine.c.revoked_at.is_(None))
    row = (await connection.execute(query)).one_or_none()
    if row is not None:
        now = datetime.now(UTC)
        # To the minute: asking need not write.
        long_ago = or_(machine.c.seen_at.is_(None), machine.c.seen_at < now - timedelta(minutes=1))
        await connection.execute(update(machine).where(matches, long_ago).values(seen_at=now))
    return None if row is None else ApiClient(*row)


async def _change(
    connection: AsyncConnection, name: str, *conditions: ColumnElement[bool], **values: object
) -> None:
    changing = update(machine).where(machine.c.name == name, *conditions).values(values)
    changed = await connection.execute(changing.returning(machine.c.name))
    if changed.one_or_none() is None:
        raise InvalidRequest(
            f"there is no API client {name}: `callcenter api-clients list` shows all"
        )
