"""Users, their sessions and their sign-in attempts, in PostgreSQL."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.tables import (
    invitation,
    sign_in_device,
    sign_in_entrance,
    web_session,
    web_user,
)

#: A session ends after this time without a request, and after that time whatever happens.
IDLE_TIMEOUT = timedelta(minutes=30)
SESSION_LIFETIME = timedelta(hours=12)

#: Time for the second factor, or to set it up, after the password was right.
ENTRANCE_TIMEOUT = timedelta(minutes=10)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the pages. `password_hash` is a PHC string."""

    id: UUID
    name: str
    password_hash: str
    role: Role
    active: bool
    created_at: datetime
    entitled: bool = True  #: False: the organisation's sign-in has them in no group of ours now


def _users() -> Select[Any]:
    """Columns in the order of User."""
    return select(*(web_user.c[name] for name in User.__slots__))


def _user(row: Row[Any]) -> User:
    return User(
        row.id,
        row.name,
        row.password_hash,
        Role(row.role),
        row.active,
        row.created_at,
        row.entitled,
    )


def check_name(name: str) -> None:
    """Check the name of a user or an API client. Raises InvalidRequest."""
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            "a name has 2 to 40 small Latin letters, digits, dots, dashes or underscores, "
            "and begins with a letter or digit"
        )


async def find_user(connection: AsyncConnection, name: str) -> User | None:
    """The user with this name, active or not; None for anything that cannot be a name."""
    if _NAME.fullmatch(name) is None:
        return None
    row = (await connection.execute(_users().where(web_user.c.name == name))).one_or_none()
    return None if row is None else _user(row)


async def get_user(connection: AsyncConnection, name: str) -> User:
    """The user with this name, active or not. Raises InvalidRequest when there is none."""
    user = await find_user(connection, name)
    if user is None:
        raise _no_user(name)
    return user


def _no_user(name: str) -> InvalidRequest:
    return InvalidRequest(f"there is no user {name}: `callcenter users list` shows all")


async def all_users(connection: AsyncConnection) -> list[User]:
    """All users, by name."""
    rows = await connection.execute(_users().order_by(web_user.c.name))
    return [_user(row) for row in rows]


async def add_user(
    connection: AsyncConnection, *, name: str, role: Role, password_hash: str
) -> None:
    """Add a user. Raises InvalidRequest when the name is taken or cannot be a name."""
    check_name(name)
    added = await connection.execute(
        insert(web_user)
        .values(id=uuid4(), name=name, role=role.value, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(web_user.c.id)
    )
    if added.one_or_none() is None:
        raise InvalidRequest(f"there is a user {name} already: choose another name")


async def signature(connection: AsyncConnection, name: str) -> str:
    """The signature of a user: surname, initials and position, else the name."""
    row = (
        await connection.execute(
            select(web_user.c.full_name, web_user.c.position).where(web_user.c.name == name)
        )
    ).one_or_none()
    parts = [part for part in (row or ()) if part]
    return ", ".join(parts) or name


async def set_signature(
    connection: AsyncConnection, *, name: str, full_name: str, position: str
) -> None:
    """Set a user's signature on receipts. Raises InvalidRequest for an unknown name."""
    texts = (full_name.strip(), position.strip())
    if not all(text.isprintable() and 1 <= len(text) <= 100 for text in texts):
        raise InvalidRequest("surname with initials, and position, have 1 to 100 characters each")
    await _change(connection, name, full_name=texts[0], position=texts[1])


async def set_role(connection: AsyncConnection, *, name: str, role: Role) -> None:
    """Change a user's role; sessions with the old one end.

    Raises InvalidRequest when there is nobody of this name.
    """
    await _change(connection, name, role=role.value)


async def set_active(connection: AsyncConnection, *, name: str, active: bool) -> None:
    """Enable a user, or disable at once. Raises InvalidRequest for an unknown name."""
    await forget_browsers(connection, await _change(connection, name, active=active))


async def set_entitled(connection: AsyncConnection, user_id: UUID, *, entitled: bool) -> None:
    """Note whether the organisation's sign-in has the user in a group of ours.

    Who is in none keeps the account, and has neither session nor telephone until they are in one
    again.
    """
    await connection.execute(
        update(web_user)
        .where(web_user.c.id == user_id, web_user.c.entitled != entitled)
        .values(entitled=entitled)
    )
    if not entitled:
        await end_sessions(connection, user_id)


async def set_password(connection: AsyncConnection, *, name: str, password_hash: str) -> None:
    """Change a user's password; sessions with the old one end, and so does an open invitation.

    Raises InvalidRequest when there is nobody of this name.
    """
    changed = await _change(connection, name, password_hash=password_hash)
    await forget_browsers(connection, changed)
    await connection.execute(delete(invitation).where(invitation.c.user_id == changed))


async def link_consultant(
    connection: AsyncConnection, *, name: str, consultant_id: UUID | None
) -> None:
    """Link a user to a consultant, or unlink; the user has to sign in again.

    Raises InvalidRequest when there is nobody of this name, or somebody else is that consultant.
    """
    taken = await connection.execute(
        select(web_user.c.name).where(
            web_user.c.consultant_id == consultant_id, web_user.c.name != name
        )
    )
    other = taken.scalar_one_or_none() if consultant_id is not None else None
    if other is not None:
        raise InvalidRequest(f"user {other} is that consultant: unlink {other} first")
    await _change(connection, name, consultant_id=consultant_id)


async def _change(connection: AsyncConnection, name: str, **values: object) -> UUID:
    changed = await connection.execute(
        update(web_user).where(web_user.c.name == name).values(**values).returning(web_user.c.id)
    )
    user_id: UUID | None = changed.scalar_one_or_none()
    if user_id is None:
        raise _no_user(name)
    await end_sessions(connection, user_id)
    return user_id


async def forget_browsers(connection: AsyncConnection, user_id: UUID) -> None:
    """Forget the browsers in which a user signed in: see `recognized_devices`."""
    await connection.execute(delete(sign_in_device).where(sign_in_device.c.user_id == user_id))


async def end_sessions(connection: AsyncConnection, user_id: UUID) -> None:
    """End all sessions of a person, and those that are about to begin."""
    await connection.execute(delete(web_session).where(web_session.c.user_id == user_id))
    await connection.execute(delete(sign_in_entrance).where(sign_in_entrance.c.user_id == user_id))


def hash_of(text: str) -> bytes:
    """The stored hash of a secret with many random bits."""
    return hashlib.sha256(text.encode()).digest()


async def end_all_sessions(connection: AsyncConnection) -> None:
    """End the sessions of everybody, and those that are about to begin."""
    await connection.execute(delete(web_session))
    await connection.execute(delete(sign_in_entrance))


async def begin_session(connection: AsyncConnection, *, user_id: UUID, token: str) -> None:
    """Open a session for this token; only its hash is stored."""
    now = datetime.now(UTC)
    await connection.execute(
        insert(web_session).values(
            token_hash=hash_of(token), user_id=user_id, created_at=now, seen_at=now
        )
    )


def live_session() -> ColumnElement[bool]:
    """The condition that a session is neither idle nor expired."""
    now = datetime.now(UTC)
    return and_(
        web_session.c.seen_at > now - IDLE_TIMEOUT,
        web_session.c.created_at > now - SESSION_LIFETIME,
    )


async def select_live_sessions(
    connection: AsyncConnection, hashes: Collection[bytes]
) -> frozenset[bytes]:
    """The hashes of tokens among these whose sessions live, and are of active users."""
    rows = await connection.execute(
        select(web_session.c.token_hash)
        .join(web_user, web_user.c.id == web_session.c.user_id)
        .where(web_session.c.token_hash.in_(hashes), live_session(), web_user.c.active)
    )
    return frozenset(rows.scalars())


async def user_of_session(connection: AsyncConnection, token: str) -> User | None:
    """The active user of this token's session, neither idle nor expired."""
    now = datetime.now(UTC)
    key = hash_of(token)
    row = (
        await connection.execute(
            _users()
            .add_columns(web_session.c.seen_at)
            .join(web_session, web_session.c.user_id == web_user.c.id)
            .where(web_session.c.token_hash == key, live_session(), web_user.c.active)
        )
    ).one_or_none()
    if row is None:
        return None
    # To the minute: reading a page need not write.
    if row.seen_at < now - timedelta(minutes=1):
        await connection.execute(
            update(web_session).where(web_session.c.token_hash == key).values(seen_at=now)
        )
    return _user(row)


async def end_session(connection: AsyncConnection, token: str) -> None:
    """End the session of this token, if there is one."""
    await connection.execute(delete(web_session).where(web_session.c.token_hash == hash_of(token)))


async def begin_entrance(connection: AsyncConnection, *, user_id: UUID, token: str) -> None:
    """Note a right password: this token waits for the second factor."""
    await connection.execute(
        insert(sign_in_entrance).values(
            token_hash=hash_of(token), user_id=user_id, created_at=datetime.now(UTC)
        )
    )


async def user_of_entrance(connection: AsyncConnection, token: str) -> User | None:
    """The active user whose token waits for the second factor, in time."""
    row = (
        await connection.execute(
            _users()
            .join(sign_in_entrance, sign_in_entrance.c.user_id == web_user.c.id)
            .where(
                sign_in_entrance.c.token_hash == hash_of(token),
                sign_in_entrance.c.created_at > datetime.now(UTC) - ENTRANCE_TIMEOUT,
                web_user.c.active,
            )
        )
    ).one_or_none()
    return None if row is None else _user(row)


async def end_entrance(connection: AsyncConnection, token: str) -> bool:
    """Use up the entrance; False when it is gone: it makes one session and no more."""
    ended = await connection.execute(
        delete(sign_in_entrance)
        .where(sign_in_entrance.c.token_hash == hash_of(token))
        .returning(sign_in_entrance.c.user_id)
    )
    return ended.one_or_none() is not None


async def delete_expired(connection: AsyncConnection) -> None:
    """Delete expired sessions and entrances, except rows that are locked just now."""
    now = datetime.now(UTC)
    old_sessions = (
        select(web_session.c.token_hash)
        .where(
            or_(
                web_session.c.created_at < now - SESSION_LIFETIME,
                web_session.c.seen_at < now - IDLE_TIMEOUT,
            )
        )
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(web_session).where(web_session.c.token_hash.in_(old_sessions)))
    old_entrances = (
        select(sign_in_entrance.c.token_hash)
        .where(sign_in_entrance.c.created_at < now - ENTRANCE_TIMEOUT)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(
        delete(sign_in_entrance).where(sign_in_entrance.c.token_hash.in_(old_entrances))
    )
