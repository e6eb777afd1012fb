"""Tries to sign in, counted before they are judged: they shut out who tries alone.

Of who is no known browser of the user, tries of one network for one name are few. Tries from many
networks lock the name for strangers alone: a known browser comes in, and whoever has a second
factor proves it. Whether the name exists or has one is not asked here, so a lock tells nobody. What
is locked is so for LOCK_TIMEOUT; tries meanwhile do not prolong it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import ColumnElement, and_, case, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.identity import recognized_devices
from callcenter.platform.identity.store import hash_of
from callcenter.platform.identity.tables import sign_in_attempt

LOCK_TIMEOUT = timedelta(minutes=15)


class Scope(StrEnum):
    """A counter of tries; the names are stored, and stand in the audit log."""

    ADDRESS = "address"  #: one network, which an office shares, for whatever names
    NETWORK = "network"  #: one network for one name
    NAME = "name"  #: all networks for one name
    DEVICE = "device"  #: a known browser for a name of its own
    CODE = "code"  #: codes of a second factor, by who had the password


#: More tries than this lock.
LIMITS = {Scope.ADDRESS: 30, Scope.NETWORK: 5, Scope.NAME: 50, Scope.DEVICE: 5, Scope.CODE: 5}


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """Whether an attempt may be judged; `locks` are the scopes that it locked.

    `needs_factor`: a right password does not let in, but to the proof of a second factor.
    """

    permitted: bool
    locks: tuple[Scope, ...]
    needs_factor: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where somebody signs in: an address, and the token of the browser ("": it has none)."""

    address: str
    device: str = ""

    @property
    def network(self) -> str:
        """The address, of IPv6 the network of 64 bits that one customer has."""
        try:
            address = ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return str(ip_network((address, 64), strict=False))
        return self.address


async def count_attempt(
    connection: AsyncConnection, *, name: str | None, visitor: Visitor
) -> SignInAttempt:
    """Count an attempt with a password before it is judged; `name` is None for no name.

    Counting first leaves no gap for many guesses at once.
    """
    locks: list[Scope] = []
    if await _is_recognized(connection, visitor, name, locks):
        return SignInAttempt(True, ())
    if not await _count(connection, Scope.ADDRESS, visitor.network, locks):
        return SignInAttempt(False, tuple(locks))
    if name is None:
        return SignInAttempt(True, tuple(locks))
    # Tries that a network may not make any more count for nobody else.
    is_open = await _count(
        connection, Scope.NETWORK, f"{name} {visitor.network}", locks
    ) and await _count(connection, Scope.NAME, name, locks)
    return SignInAttempt(True, tuple(locks), needs_factor=not is_open)


async def count_code(connection: AsyncConnection, *, name: str, visitor: Visitor) -> SignInAttempt:
    """Count an attempt with a code of the second factor, after a right password."""
    locks: list[Scope] = []
    if await _is_recognized(connection, visitor, name, locks):
        return SignInAttempt(True, ())
    permitted = await _count(connection, Scope.ADDRESS, visitor.network, locks) and await _count(
        connection, Scope.CODE, name, locks
    )
    return SignInAttempt(permitted, tuple(locks))


async def _is_recognized(
    connection: AsyncConnection, visitor: Visitor, name: str | None, locks: list[Scope]
) -> bool:
    """Whether it is a known browser that has tries left: one that has none is a stranger's."""
    if not visitor.device or not await recognized_devices.is_recognized(
        connection, visitor.device, name
    ):
        return False
    return await _count(connection, Scope.DEVICE, f"{name or ''} {visitor.device}", locks)


async def _count(connection: AsyncConnection, scope: Scope, key: str, locks: list[Scope]) -> bool:
    """Count; False when it is locked. Adds the scope to `locks` when it is from now on."""
    now, limit = datetime.now(UTC), LIMITS[scope]
    expired = sign_in_attempt.c.last_at < now - LOCK_TIMEOUT
    full = sign_in_attempt.c.count > limit
    counted = await connection.execute(
        insert(sign_in_attempt)
        .values(scope=scope.value, key=hash_of(key), count=1, last_at=now)
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
    if count > limit and last_at == now:
        locks.append(scope)
    return bool(count <= limit)


async def forgive(connection: AsyncConnection, *, name: str, visitor: Visitor) -> None:
    """Forget the attempts of a user here, and the last of name and address, after sign-in.

    Those of strangers stay: nobody with an account washes them away.
    """
    # Row by row in the order in which they are counted: others count at the same moment.
    await _delete(connection, Scope.DEVICE, f"{name} {visitor.device}")
    await forgive_address(connection, visitor)
    await _delete(connection, Scope.NETWORK, f"{name} {visitor.network}")
    await _uncount(connection, Scope.NAME, name)
    await _delete(connection, Scope.CODE, name)


async def forgive_address(connection: AsyncConnection, visitor: Visitor) -> None:
    """Forget the last attempt of the address, and only this one, after a right password.

    An attacker with an own account must not wash an address clean with it.
    """
    await _uncount(connection, Scope.ADDRESS, visitor.network)


async def _delete(connection: AsyncConnection, scope: Scope, key: str) -> None:
    await connection.execute(delete(sign_in_attempt).where(_row(scope, key)))


async def _uncount(connection: AsyncConnection, scope: Scope, key: str) -> None:
    await connection.execute(
        update(sign_in_attempt)
        .where(_row(scope, key))
        .values(count=func.greatest(sign_in_attempt.c.count - 1, 0))
    )


def _row(scope: Scope, key: str) -> ColumnElement[bool]:
    return and_(sign_in_attempt.c.scope == scope.value, sign_in_attempt.c.key == hash_of(key))


async def delete_expired(connection: AsyncConnection) -> None:
    """Delete attempts that count no more, except rows that are locked just now."""
    attempt = (sign_in_attempt.c.scope, sign_in_attempt.c.key)
    old = (
        select(*attempt)
        .where(sign_in_attempt.c.last_at < datetime.now(UTC) - LOCK_TIMEOUT)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(sign_in_attempt).where(tuple_(*attempt).in_(old)))
