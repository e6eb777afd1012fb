"""Browsers in which users signed in before: strangers' wrong tries do not shut these out.

A browser has one token for all who share it; only its hash is stored. It lets nobody in: who has it
may try a password or a code, few times, while strangers may not (OWASP: device cookies).
"""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.identity.store import hash_of
from callcenter.platform.identity.tables import sign_in_device, web_user

#: A browser is known for so long after the last sign-in of the user there.
LIFETIME = timedelta(days=180)


async def is_recognized(connection: AsyncConnection, token: str, name: str | None) -> bool:
    """Whether the user of this name signed in by the browser of this token; None: whoever did."""
    query = (
        select(sign_in_device.c.user_id)
        .join(web_user, web_user.c.id == sign_in_device.c.user_id)
        .where(
            sign_in_device.c.token_hash == hash_of(token),
            sign_in_device.c.seen_at > datetime.now(UTC) - LIFETIME,
        )
    )
    if name is not None:
        query = query.where(web_user.c.name == name)
    return (await connection.execute(query.limit(1))).first() is not None


async def remember(connection: AsyncConnection, token: str, user_id: UUID) -> str:
    """Remember that the user signed in; returns the token that the browser has from now on.

    A token that is none of ours is replaced: whoever planted it would have it, too.
    """
    if not token or not await is_recognized(connection, token, None):
        token = secrets.token_urlsafe(32)
    await connection.execute(
        insert(sign_in_device)
        .values(token_hash=hash_of(token), user_id=user_id, seen_at=func.now())
        .on_conflict_do_update(
            index_elements=["token_hash", "user_id"], set_={"seen_at": func.now()}
        )
    )
    return token


async def delete_expired(connection: AsyncConnection) -> None:
    """Delete what is not known any more."""
    old = sign_in_device.c.seen_at < datetime.now(UTC) - LIFETIME
    await connection.execute(delete(sign_in_device).where(old))
