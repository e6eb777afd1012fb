"""Login throttling: counts attempts before they are judged, and tells of what it locks."""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import RateLimited
from callcenter.platform.identity import sign_in_attempts, store
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.jobs import RAISE_ATTACK
from callcenter.platform.identity.sign_in_attempts import Scope, SignInAttempt, Visitor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_once

#: Locked by these, somebody tries what no single person mistypes: supervisors are alerted.
ATTACKS = frozenset({Scope.NAME, Scope.ADDRESS})


async def check(engine: AsyncEngine, *, name: str | None, visitor: Visitor) -> None:
    """Count an attempt; `name` is None while it names nobody. Raises RateLimited: locked."""
    if await needs_factor(engine, name=name, visitor=visitor):
        raise RateLimited


async def needs_factor(engine: AsyncEngine, *, name: str | None, visitor: Visitor) -> bool:
    """Count an attempt; True: locked but for the password of who has a second factor to prove.

    Raises RateLimited: locked for everybody. The attempt by which something becomes locked is in
    the audit log, the others while it is locked are not: nobody can flood it.
    """
    async with unit_of_work(engine) as connection:
        attempt = await sign_in_attempts.count_attempt(connection, name=name, visitor=visitor)
        await _report(connection, attempt, name, visitor)
    if not attempt.permitted:
        raise RateLimited
    return attempt.needs_factor


async def check_code(engine: AsyncEngine, *, name: str, visitor: Visitor) -> None:
    """Count an attempt with a code of the second factor, as `check`. Raises RateLimited."""
    async with unit_of_work(engine) as connection:
        attempt = await sign_in_attempts.count_code(connection, name=name, visitor=visitor)
        await _report(connection, attempt, name, visitor)
    if not attempt.permitted:
        raise RateLimited


async def _report(
    connection: AsyncConnection, attempt: SignInAttempt, name: str | None, visitor: Visitor
) -> None:
    if not attempt.locks:
        return
    if ATTACKS.intersection(attempt.locks):
        await enqueue_once(connection, RAISE_ATTACK)
    user = await store.find_user(connection, name or "")
    await audit_action(
        connection,
        Actor(None, visitor.address),
        IdentityAction.SIGN_IN_LOCKED,
        f"user:{user.name}" if user else "unknown",
        {"locked": ", ".join(attempt.locks)},
    )
