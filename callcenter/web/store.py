"""People who sign in, their sessions and their attempts, in PostgreSQL."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.web.permissions import Role
from callcenter.web.tables import sign_in_attempt, sign_in_entrance, web_session, web_user

#: A session ends after this time without a request, and after that time whatever happens.
IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)

#: Time for the second factor, or to set it up, after the password was right.
ENTRANCE = timedelta(minutes=10)

#: More failures than this lock the name (the address, which an office shares) for LOCKED.
TRIES_OF_NAME = 5
TRIES_OF_ADDRESS = 30
LOCKED = timedelta(minutes=15)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in. `password_hash` is a PHC string."""

    id: UUID
    name: str
    password_hash: str
    role: Role
    active: bool
    created_at: datetime


def _users() -> Select[Any]:
    """Columns in the order of User."""
    return select(*(web_user.c[name] for name in User.__slots__))


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.password_hash, Role(row.role), row.active, row.created_at)


def check_name(name: str) -> None:
    """Raises AskedWrongly for what cannot be the name of a person or of a machine."""
    if _NAME.fullmatch(name) is None:
        raise AskedWrongly(
            "a name has 2 to 40 small Latin letters, digits, dots, dashes or underscores, "
            "and begins with a letter or digit"
        )


async def find_user(connection: AsyncConnection, name: str) -> User | None:
    """The person with this name, active or not; None for anything that cannot be a name."""
    if _NAME.fullmatch(name) is None:
        return None
    row = (await connection.execute(_users().where(web_user.c.name == name))).one_or_none()
    return None if row is None else _user(row)


async def all_users(connection: AsyncConnection) -> list[User]:
    """Everybody, by name."""
    rows = await connection.execute(_users().order_by(web_user.c.name))
    return [_user(row) for row in rows]


async def add_user(
    connection: AsyncConnection, *, name: str, role: Role, password_hash: str
) -> None:
    """Add a person. Raises AskedWrongly when the name is taken or cannot be a name."""
    check_name(name)
    added = await connection.execute(
        insert(web_user)
        .values(id=uuid4(), name=name, role=role.value, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(web_user.c.id)
    )
    if added.one_or_none() is None:
        raise AskedWrongly(f"there is a user {name} already: choose another name")


async def signature(connection: AsyncConnection, name: str) -> str:
    """How a person signs: surname, initials and position; the name if nothing else is known."""
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
    """How a person signs receipts. Raises AskedWrongly when there is nobody of this name."""
    texts = (full_name.strip(), position.strip())
    if not all(text.isprintable() and 1 <= len(text) <= 100 for text in texts):
        raise AskedWrongly("surname with initials, and position, have 1 to 100 characters each")
    await _change(connection, name, full_name=texts[0], position=texts[1])


async def set_role(connection: AsyncConnection, *, name: str, role: Role) -> None:
    """Give a person another role; whoever is signed in with the old one is signed out.

    Raises AskedWrongly when there is nobody of this name.
    """
    await _change(connection, name, role=role.value)


async def set_active(connection: AsyncConnection, *, name: str, active: bool) -> None:
    """Let a person in, or shut out at once. Raises AskedWrongly when there is none of this name."""
    await _change(connection, name, active=active)


async def set_password(connection: AsyncConnection, *, name: str, password_hash: str) -> None:
    """Change a password; whoever is signed in with the old one is signed out.

    Raises AskedWrongly when there is nobody of this name.
    """
    await _change(connection, name, password_hash=password_hash)


async def link_consultant(
    connection: AsyncConnection, *, name: str, consultant_id: UUID | None
) -> None:
    """Make a person that consultant, or nobody; the person has to sign in again.

    Raises AskedWrongly when there is nobody of this name, or somebody else is that consultant.
    """
    taken = await connection.execute(
        select(web_user.c.name).where(
            web_user.c.consultant_id == consultant_id, web_user.c.name != name
        )
    )
    other = taken.scalar_one_or_none() if consultant_id is not None else None
    if other is not None:
        raise AskedWrongly(f"user {other} is that consultant: unlink {other} first")
    await _change(connection, name, consultant_id=consultant_id)


async def _change(connection: AsyncConnection, name: str, **values: object) -> None:
    changed = await connection.execute(
        update(web_user).where(web_user.c.name == name).values(**values).returning(web_user.c.id)
    )
    user_id = changed.scalar_one_or_none()
    if user_id is None:
        raise AskedWrongly(f"there is no user {name}: `callcenter users list` shows all")
    await end_sessions(connection, user_id)


async def end_sessions(connection: AsyncConnection, user_id: UUID) -> None:
    """End all sessions of a person, and those that are about to begin."""
    await connection.execute(delete(web_session).where(web_session.c.user_id == user_id))
    await connection.execute(delete(sign_in_entrance).where(sign_in_entrance.c.user_id == user_id))


def hash_of(text: str) -> bytes:
    """What is kept of a secret that has many random bits, or only to be found again."""
    return hashlib.sha256(text.encode()).digest()


async def begin_session(connection: AsyncConnection, *, user_id: UUID, token: str) -> None:
    """Open a session for whoever presents `token`; only its hash is kept."""
    now = datetime.now(UTC)
    await connection.execute(
        insert(web_session).values(
            token_hash=hash_of(token), user_id=user_id, created_at=now, seen_at=now
        )
    )


async def user_of_session(connection: AsyncConnection, token: str) -> User | None:
    """Who is signed in with this token now: an active person, a session neither idle nor old."""
    now = datetime.now(UTC)
    key = hash_of(token)
    row = (
        await connection.execute(
            _users()
            .add_columns(web_session.c.seen_at)
            .join(web_session, web_session.c.user_id == web_user.c.id)
            .where(
                web_session.c.token_hash == key,
                web_session.c.seen_at > now - IDLE,
                web_session.c.created_at > now - ABSOLUTE,
                web_user.c.active,
            )
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
    """Note that whoever presents `token` gave the password and owes the second factor."""
    await connection.execute(
        insert(sign_in_entrance).values(
            token_hash=hash_of(token), user_id=user_id, created_at=datetime.now(UTC)
        )
    )


async def user_of_entrance(connection: AsyncConnection, token: str) -> User | None:
    """Who owes the second factor with this token: an active person, not later than ENTRANCE."""
    row = (
        await connection.execute(
            _users()
            .join(sign_in_entrance, sign_in_entrance.c.user_id == web_user.c.id)
            .where(
                sign_in_entrance.c.token_hash == hash_of(token),
                sign_in_entrance.c.created_at > datetime.now(UTC) - ENTRANCE,
                web_user.c.active,
            )
        )
    ).one_or_none()
    return None if row is None else _user(row)


async def end_entrance(connection: AsyncConnection, token: str) -> bool:
    """Use the entrance up; False when it is gone: it makes one session and no more."""
    ended = await connection.execute(
        delete(sign_in_entrance)
        .where(sign_in_entrance.c.token_hash == hash_of(token))
        .returning(sign_in_entrance.c.user_id)
    )
    return ended.one_or_none() is not None


@dataclass(frozen=True, slots=True)
class Tried:
    """Whether a try may be judged; and what it locked, `name` or `address`, being one too many."""

    permitted: bool
    locks: tuple[str, ...]


async def count_attempt(connection: AsyncConnection, *, name: str | None, address: str) -> Tried:
    """Count a try to sign in, before it is judged; of no name while it names nobody.

    Counting first leaves no gap for many guesses at once. A known and an unknown name are counted
    alike, so that being locked tells nothing. Tries while locked do not prolong the lock.
    """
    now, permitted, locks = datetime.now(UTC), True, list[str]()
    for scope, key, limit in (
        ("name", name, TRIES_OF_NAME),
        ("address", address, TRIES_OF_ADDRESS),
    ):
        if key is None:
            continue
        count, last_at = await _count(connection, scope, key, limit, now)
        permitted = permitted and count <= limit
        if count > limit and last_at == now:
            locks.append(scope)
    return Tried(permitted, tuple(locks))


async def _count(
    connection: AsyncConnection, scope: str, key: str, limit: int, now: datetime
) -> tuple[int, datetime]:
    """Tries so far, with this one, and when the last one came that was counted."""
    expired = sign_in_attempt.c.last_at < now - LOCKED
    full = sign_in_attempt.c.count > limit
    counted = await connection.execute(
        insert(sign_in_attempt)
        .values(scope=scope, key=hash_of(key), count=1, last_at=now)
        .on_conflict_do_update(
            index_elements=["scope", "key"],
            set_={
                "count": case(
                    (expired, 1), (full, sign_in_attempt.c.count), else_=sign_in_attempt.c.count + 1
                ),
                "last_at": case((~expired & full, sign_in_attempt.c.last_at), else_=now),
            },
        )
        .returning(sign_in_attempt.c.count, sign_in_attempt.c.last_at)
    )
    count, last_at = counted.one()
    return count, last_at


async def forgive_attempts(connection: AsyncConnection, *, name: str, address: str) -> None:
    """After a whole sign-in: forget the tries of the name, and the last one of the address."""
    await connection.execute(
        delete(sign_in_attempt).where(
            sign_in_attempt.c.scope == "name", sign_in_attempt.c.key == hash_of(name)
        )
    )
    await forgive_address(connection, address)


async def forgive_address(connection: AsyncConnection, address: str) -> None:
    """After a right password: forget the last try of the address, and only this one.

    Who has an account of his own must not wash an address clean with it.
    """
    await connection.execute(
        update(sign_in_attempt)
        .where(sign_in_attempt.c.scope == "address", sign_in_attempt.c.key == hash_of(address))
        .values(count=func.greatest(sign_in_attempt.c.count - 1, 0))
    )


async def forget_the_past(connection: AsyncConnection) -> None:
    """Remove sessions and attempts that no longer count, unless somebody is at them just now."""
    now = datetime.now(UTC)
    old_sessions = (
        select(web_session.c.token_hash)
        .where(or_(web_session.c.created_at < now - ABSOLUTE, web_session.c.seen_at < now - IDLE))
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(web_session).where(web_session.c.token_hash.in_(old_sessions)))
    old_entrances = (
        select(sign_in_entrance.c.token_hash)
        .where(sign_in_entrance.c.created_at < now - ENTRANCE)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(
        delete(sign_in_entrance).where(sign_in_entrance.c.token_hash.in_(old_entrances))
    )
    attempt = (sign_in_attempt.c.scope, sign_in_attempt.c.key)
    old_attempts = (
        select(*attempt)
        .where(sign_in_attempt.c.last_at < now - LOCKED)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(sign_in_attempt).where(tuple_(*attempt).in_(old_attempts)))
