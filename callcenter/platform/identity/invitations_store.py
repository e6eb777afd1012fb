"""Invitations, in PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import hash_of
from callcenter.platform.identity.tables import invitation, web_user

#: A link is good for this time: over a weekend.
INVITATION_TIMEOUT = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation; `name` None: the first administrator chooses one too."""

    name: str | None


async def put(connection: AsyncConnection, user_id: UUID | None, token: str) -> datetime:
    """Invite a user, None the first administrator, in place of the link of before; its end.

    Those that nobody followed in time are deleted.
    """
    now = datetime.now(UTC)
    expired = invitation.c.created_at < now - INVITATION_TIMEOUT
    await connection.execute(delete(invitation).where(expired))
    values = {"token_hash": hash_of(token), "created_at": now}
    await connection.execute(
        insert(invitation)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )
    return now + INVITATION_TIMEOUT


async def find(connection: AsyncConnection, token: str) -> Invitation | None:
    """The open invitation of this token; None when there is none, or the user is disabled."""
    row = (
        await connection.execute(
            select(web_user.c.name)
            .select_from(invitation.outerjoin(web_user, web_user.c.id == invitation.c.user_id))
            .where(_open(token), web_user.c.active.is_not(False))
        )
    ).one_or_none()
    return None if row is None else Invitation(row.name)


async def use(connection: AsyncConnection, token: str) -> bool:
    """Use up the invitation; False when it is gone: it is good once."""
    used = await connection.execute(
        delete(invitation).where(_open(token)).returning(invitation.c.token_hash)
    )
    return used.one_or_none() is not None


async def has_administrator(connection: AsyncConnection) -> bool:
    """Whether there is an administrator who is not disabled."""
    administrators = exists().where(web_user.c.role == Role.ADMINISTRATOR.value, web_user.c.active)
    return bool((await connection.execute(select(administrators))).scalar_one())


def _open(token: str) -> ColumnElement[bool]:
    return (invitation.c.token_hash == hash_of(token)) & (
        invitation.c.created_at > datetime.now(UTC) - INVITATION_TIMEOUT
    )
