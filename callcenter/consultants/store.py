"""Consultants in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.accounts import check_extension, check_languages, check_name
from callcenter.consultants.tables import consultant
from callcenter.errors import AskedWrongly
from callcenter.web.tables import web_user


@dataclass(frozen=True, slots=True)
class Consultant:
    """Who may be offered a call. `digest` is the secret of the softphone: never log it."""

    id: UUID
    extension: str
    name: str
    languages: tuple[str, ...]
    digest: str
    active: bool
    skills: Mapping[str, int] = field(default_factory=dict)  #: levels, by the code of the skill


def _query() -> Select[Any]:
    return select(
        consultant.c.id,
        consultant.c.extension,
        consultant.c.name,
        consultant.c.languages,
        consultant.c.digest,
        consultant.c.active,
    ).order_by(consultant.c.extension)


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[Consultant]:
    return [
        Consultant(row.id, row.extension, row.name, tuple(row.languages), row.digest, row.active)
        for row in await connection.execute(query)
    ]


async def active(connection: AsyncConnection) -> list[Consultant]:
    """Those who may sign in with a softphone, by extension."""
    return await _read(connection, _query().where(consultant.c.active))


async def everyone(connection: AsyncConnection) -> list[Consultant]:
    """Active or not, by extension."""
    return await _read(connection, _query())


async def id_of(connection: AsyncConnection, extension: str) -> UUID:
    """The id of a consultant, active or not. Raises AskedWrongly for an unknown extension."""
    found = await connection.execute(
        select(consultant.c.id).where(consultant.c.extension == extension)
    )
    consultant_id: UUID | None = found.scalar_one_or_none()
    if consultant_id is None:
        raise AskedWrongly(f"no consultant has the extension {extension}")
    return consultant_id


async def extension_of_user(connection: AsyncConnection, user_id: UUID) -> str | None:
    """The extension of the consultant that a person who signs in to the pages is; or None."""
    found = await connection.execute(
        select(consultant.c.extension)
        .join(web_user, web_user.c.consultant_id == consultant.c.id)
        .where(web_user.c.id == user_id)
    )
    extension: str | None = found.scalar_one_or_none()
    return extension


async def add(
    connection: AsyncConnection,
    *,
    extension: str,
    name: str,
    languages: Sequence[str],
    digest: str,
) -> Consultant:
    """Add an active consultant; `digest` as made by consultants.accounts.digest_of.

    Raises AskedWrongly when the extension is taken or a value is not allowed.
    """
    new = Consultant(
        uuid4(),
        check_extension(extension),
        check_name(name),
        check_languages(languages),
        digest,
        active=True,
    )
    result = await connection.execute(
        insert(consultant)
        .on_conflict_do_nothing(index_elements=["extension"])
        .returning(consultant.c.id),
        {
            "id": new.id,
            "extension": new.extension,
            "name": new.name,
            "languages": list(new.languages),
            "digest": new.digest,
            "active": new.active,
        },
    )
    if result.scalar_one_or_none() is None:
        raise AskedWrongly(f"extension {extension} is taken: choose another")
    return new


async def set_active(connection: AsyncConnection, extension: str, active: bool) -> None:
    """Let a consultant take calls, or no longer. Raises AskedWrongly for an unknown extension."""
    await _change(connection, extension, active=active)


async def set_digest(connection: AsyncConnection, extension: str, digest: str) -> None:
    """Give a consultant another password. Raises AskedWrongly for an unknown extension."""
    await _change(connection, extension, digest=digest)


async def _change(connection: AsyncConnection, extension: str, **values: bool | str) -> None:
    result = await connection.execute(
        update(consultant).where(consultant.c.extension == extension).values(values)
    )
    if result.rowcount == 0:
        raise AskedWrongly(f"no consultant has the extension {extension}")
