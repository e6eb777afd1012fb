"""Invitations: a link, good once and for three days, by which somebody chooses a password.

Nobody but its owner ever knows a password so. Only the hash of a link is stored: one that was lost
is replaced by another.
"""

from collections.abc import Set
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import (
    invitations_store,
    login_throttle,
    sessions,
    sign_in,
    store,
)
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.invitations_store import Invitation
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work


class InvitationClosed(NotFound):
    """The link was followed before, is older than three days, or was replaced by another."""


def address_of_pages(settings: Settings) -> str:
    """The address of the pages, as browsers see it: `public_url`, else where they are served."""
    return settings.public_url or f"http://{settings.web_address}:{settings.web_port}"


def link_of(settings: Settings, token: str) -> str:
    """The address of an invitation."""
    return f"{address_of_pages(settings)}/invitations/{token}"


async def invite(connection: AsyncConnection, user: store.User) -> tuple[str, datetime]:
    """Make a user's link: its token and its end. That of before is worth nothing any more."""
    token = sessions.new_token()
    return token, await invitations_store.put(connection, user.id, token)


async def invite_first_administrator(connection: AsyncConnection) -> str | None:
    """Make the link by which the first administrator is added; None when there is one."""
    if await invitations_store.has_administrator(connection):
        return None
    token = sessions.new_token()
    await invitations_store.put(connection, None, token)
    return token


async def find(engine: AsyncEngine, token: str) -> Invitation:
    """The open invitation of this token. Raises InvitationClosed."""
    async with unit_of_work(engine) as connection:
        found = await invitations_store.find(connection, token)
        if found is None or await _is_late(connection, found):
            raise InvitationClosed
    return found


async def accept(
    engine: AsyncEngine,
    passwords: Passwords,
    demanding: Set[Role],
    *,
    token: str,
    name: str,
    password: str,
    visitor: Visitor,
) -> tuple[str, bool]:
    """Set the password of who was invited, and sign them in: what `sign_in` returns.

    `name` is read for the first administrator alone, who is added by this. Raises InvitationClosed,
    or RateLimited: a wrong link counts as a try to sign in, and no password is hashed for it;
    InvalidRequest when name or password cannot be one, and then the link stays good.
    """
    try:
        await find(engine, token)
    except InvitationClosed:
        await login_throttle.check(engine, name=None, visitor=visitor)
        raise
    hashed = await passwords.hash(password)
    async with unit_of_work(engine) as connection:
        found = await invitations_store.find(connection, token)
        # Of two who follow it at once the second waits here, and finds it gone.
        if found is None or not await invitations_store.use(connection, token):
            raise InvitationClosed
        if await _is_late(connection, found):
            raise InvitationClosed
        if found.name is None:
            await store.add_user(
                connection, name=name, role=Role.ADMINISTRATOR, password_hash=hashed
            )
        else:
            name = found.name
            await store.set_password(connection, name=name, password_hash=hashed)
        user = await store.get_user(connection, name)
        await audit_action(
            connection,
            Actor(user, visitor.address),
            IdentityAction.INVITATION_ACCEPTED
            if found.name
            else IdentityAction.FIRST_ADMINISTRATOR_ADDED,
            f"user:{name}",
        )
        return await sign_in.admit(connection, user, demanding, visitor, by="invitation")


async def _is_late(connection: AsyncConnection, found: Invitation) -> bool:
    """Whether it would add a first administrator beside another one."""
    return found.name is None and await invitations_store.has_administrator(connection)
