"""People as administrators see them, in PostgreSQL."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.tables import consultant
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Role
from callcenter.web.tables import second_factor, web_identity, web_user


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in: all but the secrets."""

    name: str
    role: Role
    active: bool
    has_factor: bool
    extension: str | None
    team: str | None
    full_name: str | None
    position: str | None
    subject: str | None  # of the organisation's sign-in


def _people() -> Select[Any]:
    """Columns named as in Person."""
    return (
        select(
            web_user.c.name,
            web_user.c.role,
            web_user.c.active,
            second_factor.c.user_id.is_not(None).label("has_factor"),
            consultant.c.extension,
            consultant.c.team,
            web_user.c.full_name,
            web_user.c.position,
            web_identity.c.subject,
        )
        .outerjoin(second_factor, second_factor.c.user_id == web_user.c.id)
        .outerjoin(consultant, consultant.c.id == web_user.c.consultant_id)
        .outerjoin(web_identity, web_identity.c.user_id == web_user.c.id)
    )


def _person(row: Row[Any]) -> Person:
    return Person(**{**row._mapping, "role": Role(row.role)})


async def everyone(connection: AsyncConnection) -> list[Person]:
    """All people, those who may sign in first."""
    query = _people().order_by(web_user.c.active.desc(), web_user.c.name)
    return [_person(row) for row in await connection.execute(query)]


async def some(connection: AsyncConnection, *, after: str, limit: int) -> list[Person]:
    """People whose names follow this one, by name."""
    query = _people().where(web_user.c.name > after).order_by(web_user.c.name).limit(limit)
    return [_person(row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, name: str) -> Person:
    """The person of this name. Raises NotFound."""
    row = (await connection.execute(_people().where(web_user.c.name == name))).one_or_none()
    if row is None:
        raise NotFound
    return _person(row)


async def other_administrators(connection: AsyncConnection, name: str) -> bool:
    """Whether anybody else is an administrator who may sign in; it stays so until the end of the
    transaction, so that two do not shut each other out."""
    rows = await connection.execute(
        select(web_user.c.name)
        .where(web_user.c.role == Role.ADMINISTRATOR.value, web_user.c.active)
        .order_by(web_user.c.id)
        .with_for_update()
    )
    return any(other != name for other in rows.scalars())
