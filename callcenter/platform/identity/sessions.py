"""Begins sessions, once every required factor was proved."""

import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.identity import sign_in_attempts, store
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.sign_in_attempts import Visitor


def new_token() -> str:
    """A secret for a cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


async def begin(
    connection: AsyncConnection, user: store.User, visitor: Visitor, *, by: str = ""
) -> str:
    """Begin a session and return its token; `by` is what proved it beside a password.

    The sign-in is in the audit log.
    """
    token = new_token()
    await sign_in_attempts.forgive(connection, name=user.name, visitor=visitor)
    await store.begin_session(connection, user_id=user.id, token=token)
    await audit_action(
        connection,
        Actor(user, visitor.address),
        IdentityAction.SIGNED_IN,
        f"user:{user.name}",
        {"by": by} if by else None,
    )
    return token
