"""Tries to sign in: counted before they are judged, and what too many of them lock."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.storage.engine import unit_of_work
from callcenter.web import store
from callcenter.web.errors import TooManyTries


async def check(engine: AsyncEngine, *, name: str | None, address: str) -> None:
    """Count a try; `name` is None while it names nobody. Raises TooManyTries: locked.

    The try by which the name or the address becomes locked is in the audit log, the others while it
    is locked are not: nobody can flood it.
    """
    async with unit_of_work(engine) as connection:
        tried = await store.count_attempt(connection, name=name, address=address)
        if tried.locks:
            user = await store.find_user(connection, name or "")
            await record(
                connection,
                who="anonymous",
                action=Action.SIGN_IN_LOCKED,
                subject=f"user:{user.name}" if user else "unknown",
                detail={"locked": ", ".join(tried.locks)},
                from_address=address,
            )
    if not tried.permitted:
        raise TooManyTries
