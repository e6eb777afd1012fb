"""Sign-in and sign-out with a password: from a typed name to a session."""

from collections.abc import Collection, Set

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import RateLimited, SignInRefused
from callcenter.platform.identity import (
    external_identities,
    login_throttle,
    recognized_devices,
    second_factor_store,
    sessions,
    sign_in_attempts,
    store,
)
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work


async def sign_in(
    engine: AsyncEngine,
    passwords: Passwords,
    demanding: Set[Role],
    permitted_names: Collection[str] | None,
    *,
    name: str,
    password: str,
    visitor: Visitor,
) -> tuple[str, bool]:
    """Check name and password and return the token of a new session, and True.

    For somebody with a second factor, or with one of the roles that demand it, it is the token
    of an entrance, and False: it permits to prove or set up that factor, and nothing else.

    `permitted_names` are those who may sign in with a password; None: everybody.

    Raises SignInRefused, the same and after the same work for an unknown name, a disabled user,
    one without a password and a wrong password; RateLimited when they may not try here now
    (`sign_in_attempts`), after the same work too unless the address is locked; a right password
    that a second factor follows passes. Refusals while nothing is locked are in the audit log, and
    so is what locks. What was typed as a name is kept nowhere unless it is one: people type their
    password there.
    """
    user = await _check_password(
        engine, passwords, permitted_names, name=name, password=password, visitor=visitor
    )
    async with unit_of_work(engine) as connection:
        return await admit(connection, user, demanding, visitor)


async def admit(
    connection: AsyncConnection,
    user: store.User,
    demanding: Set[Role],
    visitor: Visitor,
    *,
    by: str = "",
) -> tuple[str, bool]:
    """Begin the session, or the entrance, of who gave the right password, or proved it `by`."""
    factor = await second_factor_store.find(connection, user.id)
    if factor is None and user.role not in demanding:
        return await sessions.begin(connection, user, visitor, by=by), True
    await sign_in_attempts.forgive_address(connection, visitor)
    token = sessions.new_token()
    await store.begin_entrance(connection, user_id=user.id, token=token)
    return token, False


async def _check_password(
    engine: AsyncEngine,
    passwords: Passwords,
    permitted_names: Collection[str] | None,
    *,
    name: str,
    password: str,
    visitor: Visitor,
) -> store.User:
    """The user with this name and password. Raises as `sign_in`."""
    name = name.strip().lower()
    async with unit_of_work(engine) as connection:
        await store.delete_expired(connection)
        await sign_in_attempts.delete_expired(connection)
        await recognized_devices.delete_expired(connection)
        user = await store.find_user(connection, name)
        has_factor = await second_factor_store.has_one(connection, name)
    locked = await login_throttle.needs_factor(engine, name=name, visitor=visitor)
    # The same work where it is locked: by its time, too, one could tell who has a second factor.
    matches = await passwords.matches(user.password_hash if user else None, password)
    why = _refusal_reason(user, matches, permitted_names)
    if user is not None and why is None and (has_factor or not locked):
        return user
    if locked:
        raise RateLimited
    async with unit_of_work(engine) as connection:
        await audit_action(
            connection,
            Actor(None, visitor.address),
            IdentityAction.SIGN_IN_REFUSED,
            f"user:{user.name}" if user else "unknown",
            {"why": why},
        )
    raise SignInRefused


def _refusal_reason(
    user: store.User | None, matches: bool, permitted_names: Collection[str] | None
) -> str | None:
    if user is None:
        return "unknown"
    if not user.active:
        return "disabled"
    if not matches:
        return "password"
    if not user.entitled:
        return "no_role"
    return None if permitted_names is None or user.name in permitted_names else "by_password"


async def sign_out(engine: AsyncEngine, *, user: store.User, token: str, address: str) -> bool:
    """End the session of this token; whether the user has an external identity too."""
    async with unit_of_work(engine) as connection:
        subject = await external_identities.subject_of(connection, user.id)
        await external_identities.forget_token(connection, user.id)
        await store.end_session(connection, token)
        await audit_action(
            connection, Actor(user, address), IdentityAction.SIGNED_OUT, f"user:{user.name}"
        )
    return subject is not None
