"""The signed-in user changes the own password."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity import login_throttle, sessions, store
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work


class WrongPassword(InvalidRequest):
    """The old password is wrong."""


async def change(
    engine: AsyncEngine,
    passwords: Passwords,
    user: store.User,
    *,
    old: str,
    new: str,
    visitor: Visitor,
) -> str:
    """Change the password; returns the token of a new session, for all others end.

    A wrong old one counts as a try to sign in. Raises RateLimited; WrongPassword, which is in the
    audit log as a refused sign-in; InvalidRequest when the new one cannot be one.
    """
    await login_throttle.check(engine, name=user.name, visitor=visitor)
    if not await passwords.matches(user.password_hash, old):
        async with unit_of_work(engine) as connection:
            await audit_action(
                connection,
                Actor(user, visitor.address),
                IdentityAction.SIGN_IN_REFUSED,
                f"user:{user.name}",
                {"why": "own_password"},
            )
        raise WrongPassword
    if new == old:
        raise InvalidRequest("the new password is the old one: choose another")
    hashed = await passwords.hash(new)
    async with unit_of_work(engine) as connection:
        await store.set_password(connection, name=user.name, password_hash=hashed)
        token = await sessions.begin(connection, user, visitor, by="new_password")
        await audit_action(
            connection,
            Actor(user, visitor.address),
            IdentityAction.OWN_PASSWORD_SET,
            f"user:{user.name}",
        )
    return token
