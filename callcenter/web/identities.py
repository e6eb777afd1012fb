"""Who people are to the organisation's sign-in, in PostgreSQL."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.web import store
from callcenter.web.tables import web_identity, web_user


async def find(connection: AsyncConnection, *, issuer: str, subject: str) -> store.User | None:
    """The person that this subject is here, active or not."""
    row = (
        await connection.execute(
            select(web_user.c.name)
            .join(web_identity, web_identity.c.user_id == web_user.c.id)
            .where(web_identity.c.issuer == issuer, web_identity.c.subject == subject)
        )
    ).one_or_none()
    return None if row is None else await store.find_user(connection, row.name)


async def subject_of(connection: AsyncConnection, user_id: UUID) -> str | None:
    """Who a person is there; None for somebody who signs in here alone."""
    query = select(web_identity.c.subject).where(web_identity.c.user_id == user_id)
    return (await connection.execute(query)).scalar_one_or_none()


async def link(connection: AsyncConnection, *, name: str, issuer: str, subject: str) -> None:
    """Say who a person is there, instead of whoever it was; the person is signed out.

    Raises AskedWrongly when there is nobody of this name, or somebody else is that subject.
    """
    user = await store.find_user(connection, name)
    if user is None:
        raise AskedWrongly(f"there is no user {name}: `callcenter users list` shows all")
    await unlink(connection, user.id)
    made = await connection.execute(
        insert(web_identity)
        .values(issuer=issuer, subject=subject, user_id=user.id)
        .on_conflict_do_nothing()
        .returning(web_identity.c.user_id)
    )
    if made.one_or_none() is None:
        raise AskedWrongly("somebody else is that subject here: unlink that person first")


async def unlink(connection: AsyncConnection, user_id: UUID) -> None:
    """A person signs in here alone from now on; sessions end."""
    await connection.execute(delete(web_identity).where(web_identity.c.user_id == user_id))
    await store.end_sessions(connection, user_id)
