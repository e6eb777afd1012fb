"""One's own password: chosen anew by who knows the old one."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web import lock_out, sessions, store
from callcenter.web.passwords import Passwords, hash_password


class WrongPassword(AskedWrongly):
    """The old password is wrong."""


async def change(
    engine: AsyncEngine,
    passwords: Passwords,
    user: store.User,
    *,
    old: str,
    new: str,
    address: str,
) -> str:
    """Give oneself another password; the token of a new session, for all others end.

    A wrong old one counts as a try to sign in. Raises TooManyTries; WrongPassword, which is
    in the audit log as a refused sign-in; AskedWrongly when the new one cannot be one.
    """
    await lock_out.check(engine, name=user.name, address=address)
    if not await passwords.matches(user.password_hash, old):
        async with unit_of_work(engine) as connection:
            await record(
                connection,
                who=f"user:{user.name}",
                action=Action.SIGN_IN_REFUSED,
                subject=f"user:{user.name}",
                detail={"why": "own_password"},
                from_address=address,
            )
        raise WrongPassword
    if new == old:
        raise AskedWrongly("the new password is the old one: choose another")
    hashed = await asyncio.to_thread(hash_password, new)
    async with unit_of_work(engine) as connection:
        await store.set_password(connection, name=user.name, password_hash=hashed)
        token = await sessions.begin(connection, user, address, by="new_password")
        await record(
            connection,
            who=f"user:{user.name}",
            action=Action.OWN_PASSWORD_SET,
            subject=f"user:{user.name}",
            from_address=address,
        )
    return token
