"""Second factors and their recovery codes, in PostgreSQL."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.store import end_sessions, forget_browsers, hash_of
from callcenter.platform.identity.tables import recovery_code, second_factor, web_user


async def find(connection: AsyncConnection, user_id: UUID) -> tuple[bytes, int] | None:
    """The encrypted secret of a user's second factor and its last step; None for none."""
    row = (
        await connection.execute(
            select(second_factor.c.secret, second_factor.c.last_step).where(
                second_factor.c.user_id == user_id
            )
        )
    ).one_or_none()
    return None if row is None else (row.secret, row.last_step)


async def has_one(connection: AsyncConnection, name: str) -> bool:
    """Whether a user of this name has a second factor."""
    query = (
        select(second_factor.c.user_id)
        .join(web_user, web_user.c.id == second_factor.c.user_id)
        .where(web_user.c.name == name)
    )
    return (await connection.execute(query)).first() is not None


async def add(
    connection: AsyncConnection, *, user_id: UUID, secret: bytes, step: int, codes: Iterable[str]
) -> bool:
    """Insert a second factor with its recovery codes; False when the user has one already."""
    added = await connection.execute(
        insert(second_factor)
        .values(user_id=user_id, secret=secret, last_step=step)
        .on_conflict_do_nothing()
        .returning(second_factor.c.user_id)
    )
    if added.one_or_none() is None:
        return False
    rows = [{"user_id": user_id, "code_hash": hash_of(code)} for code in codes]
    await connection.execute(insert(recovery_code), rows)
    return True


async def accept_step(connection: AsyncConnection, *, user_id: UUID, step: int) -> bool:
    """Save the step of a code; False when that one, or a later one, was accepted before."""
    accepted = await connection.execute(
        update(second_factor)
        .where(second_factor.c.user_id == user_id, second_factor.c.last_step < step)
        .values(last_step=step)
        .returning(second_factor.c.user_id)
    )
    return accepted.one_or_none() is not None


async def use_recovery_code(connection: AsyncConnection, *, user_id: UUID, code: str) -> bool:
    """Use up a recovery code; False when the user has no such code left."""
    used = await connection.execute(
        delete(recovery_code)
        .where(recovery_code.c.user_id == user_id, recovery_code.c.code_hash == hash_of(code))
        .returning(recovery_code.c.user_id)
    )
    return used.one_or_none() is not None


async def codes_left(connection: AsyncConnection, user_id: UUID) -> int:
    """The number of a user's recovery codes."""
    counted = await connection.execute(
        select(func.count()).select_from(recovery_code).where(recovery_code.c.user_id == user_id)
    )
    return int(counted.scalar_one())


async def remove(connection: AsyncConnection, name: str) -> None:
    """Remove a user's second factor; the user is signed out and sets up a new one.

    Raises InvalidRequest when there is none.
    """
    user_id = select(web_user.c.id).where(web_user.c.name == name).scalar_subquery()
    removed = await connection.execute(
        delete(second_factor)
        .where(second_factor.c.user_id == user_id)
        .returning(second_factor.c.user_id)
    )
    row = removed.one_or_none()
    if row is None:
        raise InvalidRequest(f"{name} has no second factor, or there is no such user")
    await end_sessions(connection, row.user_id)
    await forget_browsers(connection, row.user_id)
