"""Queries of users with their details, for administrators, in PostgreSQL."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.tables import consultant
from callcenter.platform.core.errors import NotFound
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.tables import second_factor, web_identity, web_user


@dataclass(frozen=True, slots=True)
class UserDetails:
    """A user with all details but the secrets."""

    name: str
    role: Role
    active: bool
    has_factor: bool
    extension: str | None
    team: str | None
    full_name: str | None
    position: str | None
    subject: str | None  # of the organisation's sign-in


def _query() -> Select[Any]:
    """Columns named as in UserDetails."""
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


def _read(row: Row[Any]) -> UserDetails:
    return UserDetails(**{**row._mapping, "role": Role(row.role)})


async def everyone(connection: AsyncConnection) -> list[UserDetails]:
    """All users, the active ones first."""
    query = _query().order_by(web_user.c.active.desc(), web_user.c.name)
    return [_read(row) for row in await connection.execute(query)]


async def list_after(connection: AsyncConnection, name: str, *, limit: int) -> list[UserDetails]:
    """The users whose names follow this one, by name."""
    query = _query().where(web_user.c.name > name).order_by(web_user.c.name).limit(limit)
    return [_read(row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, name: str) -> UserDetails:
    """The user of this name. Raises NotFound."""
    row = (await connection.execute(_query().where(web_user.c.name == name))).one_or_none()
    if row is None:
        raise NotFound
    return _read(row)


async def has_other_administrator(connection: AsyncConnection, name: str) -> bool:
    """True if another active administrator exists.

    It stays so until the end of the transaction, so that two cannot disable each other."""
    rows = await connection.execute(
        select(web_user.c.name)
        .where(web_user.c.role == Role.ADMINISTRATOR.value, web_user.c.active)
        .order_by(web_user.c.id)
        .with_for_update()
    )
    return any(other != name for other in rows.scalars())
