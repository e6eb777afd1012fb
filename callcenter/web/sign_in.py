"""Signing in and out: the rule, from a typed name to a session."""

from collections.abc import Collection, Set

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.storage.engine import unit_of_work
from callcenter.web import factors, identities, lock_out, sessions, store
from callcenter.web.errors import SignInRefused
from callcenter.web.passwords import Passwords
from callcenter.web.permissions import Role


async def sign_in(
    engine: AsyncEngine,
    passwords: Passwords,
    demanding: Set[Role],
    permitted_names: Collection[str] | None,
    *,
    name: str,
    password: str,
    address: str,
) -> tuple[str, bool]:
    """Check name and password and return the token of a new session, and True.

    For somebody with a second factor, or with one of the roles that demand it, it is the token
    of an entrance, and False: it permits to prove or set up that factor, and nothing else.

    `permitted_names` are those who may sign in with a password; None: everybody.

    Raises SignInRefused, the same and after the same work for an unknown name, a disabled user,
    one without a password and a wrong password; TooManyTries when the name or the address is
    locked. Refusals that were judged are in the audit log, and so is what locks. What was typed as
    a name is kept nowhere unless it is one: people type their password there.
    """
    user = await _proved(
        engine, passwords, permitted_names, name=name, password=password, address=address
    )
    async with unit_of_work(engine) as connection:
        factor = await factors.find(connection, user.id)
        if factor is None and user.role not in demanding:
            return await sessions.begin(connection, user, address), True
        # The name's tries still count: codes could be guessed by who has the password.
        await store.forgive_address(connection, address)
        token = sessions.new_token()
        await store.begin_entrance(connection, user_id=user.id, token=token)
    return token, False


async def _proved(
    engine: AsyncEngine,
    passwords: Passwords,
    permitted_names: Collection[str] | None,
    *,
    name: str,
    password: str,
    address: str,
) -> store.User:
    """The user whose name and password these are. Raises as `sign_in`."""
    name = name.strip().lower()
    async with unit_of_work(engine) as connection:
        await store.forget_the_past(connection)
        user = await store.find_user(connection, name)
    await lock_out.check(engine, name=name, address=address)
    matches = await passwords.matches(user.password_hash if user else None, password)
    why = _why_not(user, matches, permitted_names)
    if user is not None and why is None:
        return user
    async with unit_of_work(engine) as connection:
        await record(
            connection,
            who="anonymous",
            action=Action.SIGN_IN_REFUSED,
            subject=f"user:{user.name}" if user else "unknown",
            detail={"why": why},
            from_address=address,
        )
    raise SignInRefused


def _why_not(
    user: store.User | None, matches: bool, permitted_names: Collection[str] | None
) -> str | None:
    if user is None:
        return "unknown"
    if not user.active:
        return "disabled"
    if not matches:
        return "password"
    return None if permitted_names is None or user.name in permitted_names else "by_password"


async def sign_out(engine: AsyncEngine, *, user: store.User, token: str, address: str) -> bool:
    """End the session of this token; whether the organisation's sign-in knows the person too."""
    async with unit_of_work(engine) as connection:
        subject = await identities.subject_of(connection, user.id)
        await store.end_session(connection, token)
        await record(
            connection,
            who=f"user:{user.name}",
            action=Action.SIGNED_OUT,
            subject=f"user:{user.name}",
            from_address=address,
        )
    return subject is not None
