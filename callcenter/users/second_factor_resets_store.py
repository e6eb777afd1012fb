"""Requests to reset a user's second factor in PostgreSQL; see `identity.approvals`."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.identity.tables import web_user
from callcenter.users.tables import second_factor_reset


@dataclass(frozen=True, slots=True)
class FactorReset:
    """A request that waits for another administrator."""

    id: UUID
    reason: str
    asked_by: str
    asked_at: datetime


class DecidedReset(NamedTuple):
    """The user of a request that is decided on, and the author of the request."""

    name: str
    asked_by: str


async def find_waiting(connection: AsyncConnection, name: str) -> FactorReset | None:
    """The request that waits for this user."""
    columns = [second_factor_reset.c[each] for each in FactorReset.__slots__]
    row = (
        await connection.execute(
            select(*columns)
            .join(web_user, web_user.c.id == second_factor_reset.c.user_id)
            .where(web_user.c.name == name, second_factor_reset.c.state == "asked")
        )
    ).one_or_none()
    return None if row is None else FactorReset(*row)


async def find(connection: AsyncConnection, request_id: UUID) -> DecidedReset:
    """The request with this id, which is there."""
    query = (
        select(web_user.c.name, second_factor_reset.c.asked_by)
        .join(second_factor_reset, second_factor_reset.c.user_id == web_user.c.id)
        .where(second_factor_reset.c.id == request_id)
    )
    return DecidedReset(*(await connection.execute(query)).one())


async def mark_done(connection: AsyncConnection, request_id: UUID) -> None:
    """The factor of an approved request is gone."""
    await connection.execute(
        update(second_factor_reset)
        .where(second_factor_reset.c.id == request_id)
        .values(state="done")
    )
