"""The beginning of a session, once everything that is asked was proved."""

import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.web import store


def new_token() -> str:
    """A secret for a cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


async def begin(
    connection: AsyncConnection, user: store.User, address: str, *, by: str = ""
) -> str:
    """The token of a new session, which is in the audit log; `by` what else than a password."""
    token = new_token()
    await store.forgive_attempts(connection, name=user.name, address=address)
    await store.begin_session(connection, user_id=user.id, token=token)
    await record(
        connection,
        who=f"user:{user.name}",
        action=Action.SIGNED_IN,
        subject=f"user:{user.name}",
        detail={"by": by} if by else None,
        from_address=address,
    )
    return token
