"""Links of users to identities of the organisation's sign-in, in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity import store
from callcenter.platform.identity.tables import web_identity, web_session, web_user


async def find(connection: AsyncConnection, *, issuer: str, subject: str) -> store.User | None:
    """The user linked to this subject, active or not."""
    row = (
        await connection.execute(
            select(web_user.c.name)
            .join(web_identity, web_identity.c.user_id == web_user.c.id)
            .where(web_identity.c.issuer == issuer, web_identity.c.subject == subject)
        )
    ).one_or_none()
    return None if row is None else await store.find_user(connection, row.name)


async def subject_of(connection: AsyncConnection, user_id: UUID) -> str | None:
    """The subject linked to a user; None when there is none."""
    query = select(web_identity.c.subject).where(web_identity.c.user_id == user_id)
    return (await connection.execute(query)).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class DueIdentity:
    """An identity about which the provider is to be asked. `refresh_token` is encrypted."""

    user_id: UUID
    name: str
    subject: str
    refresh_token: bytes | None
    is_refreshable: bool
    has_password: bool


async def confirm(connection: AsyncConnection, user_id: UUID, refresh_token: bytes | None) -> None:
    """Note that the provider has confirmed this user at a sign-in, with an encrypted token."""
    await connection.execute(
        update(web_identity)
        .where(web_identity.c.user_id == user_id)
        .values(refresh_token=refresh_token, confirmed_at=func.now(), checked_at=func.now())
    )


async def claim_due(
    connection: AsyncConnection,
    *,
    issuer: str,
    checked_before: datetime,
    confirmed_before: datetime,
) -> DueIdentity | None:
    """An identity to ask about now, which nobody else is given until the next time.

    Its user has a session and a token and was not asked about since; or has not both, and was not
    confirmed since. Without a session nobody asks: that would keep the one at the provider alive.
    """
    is_refreshable = and_(
        web_identity.c.refresh_token.is_not(None),
        exists().where(web_session.c.user_id == web_identity.c.user_id, store.live_session()),
    )
    due = (
        select(web_identity.c.user_id)
        .join(web_user, web_user.c.id == web_identity.c.user_id)
        .where(
            web_identity.c.issuer == issuer,
            web_identity.c.checked_at < checked_before,
            or_(is_refreshable, web_identity.c.confirmed_at < confirmed_before),
            web_user.c.active,
            web_user.c.entitled,
        )
        .order_by(web_identity.c.checked_at)
        .limit(1)
        .with_for_update(of=web_identity, skip_locked=True)
    )
    row = (
        await connection.execute(
            update(web_identity)
            .where(
                web_identity.c.user_id == due.scalar_subquery(),
                web_user.c.id == web_identity.c.user_id,
            )
            .values(checked_at=func.now())
            .returning(
                web_identity.c.user_id,
                web_user.c.name,
                web_identity.c.subject,
                web_identity.c.refresh_token,
                is_refreshable.label("is_refreshable"),
                (web_user.c.password_hash != "").label("has_password"),
            )
        )
    ).one_or_none()
    return None if row is None else DueIdentity(*row)


async def replace_token(
    connection: AsyncConnection,
    identity: DueIdentity,
    refresh_token: bytes | None,
    *,
    is_confirmed: bool = False,
) -> bool:
    """Store another token; False, and nothing is stored, when somebody else did so meanwhile."""
    values = {"confirmed_at": func.now()} if is_confirmed else {}
    replaced = await connection.execute(
        update(web_identity)
        .where(
            web_identity.c.user_id == identity.user_id,
            web_identity.c.refresh_token.is_not_distinct_from(identity.refresh_token),
        )
        .values(refresh_token=refresh_token, **values)
        .returning(web_identity.c.user_id)
    )
    return replaced.one_or_none() is not None


async def forget_token(connection: AsyncConnection, user_id: UUID) -> None:
    """Ask the provider about this user no more: the session there ends with ours."""
    await connection.execute(
        update(web_identity).where(web_identity.c.user_id == user_id).values(refresh_token=None)
    )


async def link(connection: AsyncConnection, *, name: str, issuer: str, subject: str) -> None:
    """Link a user to a subject, replacing an earlier link; the user is signed out.

    Raises InvalidRequest when there is nobody of this name, or somebody else is that subject.
    """
    user = await store.get_user(connection, name)
    await unlink(connection, user.id)
    made = await connection.execute(
        insert(web_identity)
        .values(issuer=issuer, subject=subject, user_id=user.id)
        .on_conflict_do_nothing()
        .returning(web_identity.c.user_id)
    )
    if made.one_or_none() is None:
        raise InvalidRequest("somebody else is that subject here: unlink that person first")


async def unlink(connection: AsyncConnection, user_id: UUID) -> None:
    """Remove the link of a user, and what groups there decided; sessions end."""
    await connection.execute(delete(web_identity).where(web_identity.c.user_id == user_id))
    await store.set_entitled(connection, user_id, entitled=True)
    await store.end_sessions(connection, user_id)
