"""Fingerprints of secrets in the database: none that is lost is made anew.

Data are sealed, hashed or signed with secrets that are not in the database. Each process checks
those that it uses before it serves. A fingerprint is a salted scrypt hash, which helps to guess
none, however short a word somebody has chosen.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import SecretMissing
from callcenter.platform.storage.tables import secret_fingerprint

log = logging.getLogger(__name__)

SALT_BYTES = 16
UNKNOWN = b""  #: of data from before there were fingerprints: what is here is taken for right


class SecretMismatch(OperationFailed):
    """A secret is another than the database was written with, or lacks an older key."""


@dataclass(frozen=True)
class DataSecret:
    """A secret that data in the database need, and how it is read and made on this machine.

    `read` gives its words, each of which may have sealed something, and raises SecretMissing;
    `make` generates it, unless it is there.
    """

    name: str
    place: str  #: for messages
    read: Callable[[], Sequence[str]]
    make: Callable[[], object]


async def ensure(connection: AsyncConnection, secret: DataSecret) -> None:
    """Ensure that the secret here is the one that the database was written with.

    It is generated only while the database has no fingerprint of this name. Words that are new
    beside all that it has (a rotation) are taken in. Of processes and machines that do so at once
    the later ones find what the first stored. Raises SecretMissing and SecretMismatch.
    """
    await _lock(connection, secret)
    try:
        secret.read()
    except SecretMissing:
        if await _has_fingerprint(connection, secret):
            raise
        secret.make()
        log.warning("secret generated: %s", secret.place)
    salt, new = await _compare(connection, secret)
    if new:
        await _delete(connection, secret, UNKNOWN)
        await _add(connection, secret, salt, new)
        log.warning("secret fingerprint stored: %s", secret.place)


async def verify(connection: AsyncConnection, secret: DataSecret) -> bool:
    """Whether the database knows the secret that is here; changes nothing.

    False when it knows none of this name, or not yet all that is here. Raises SecretMissing and
    SecretMismatch.
    """
    try:
        _, new = await _compare(connection, secret)
    except SecretMissing:
        if await _has_fingerprint(connection, secret):
            raise
        return False
    return not new


async def accept(connection: AsyncConnection, secret: DataSecret) -> None:
    """Take the secret as it is here for the right one, a new one if it is missing.

    The database forgets what it knew of this name.
    """
    await _lock(connection, secret)
    secret.make()
    await _delete(connection, secret)
    salt = os.urandom(SALT_BYTES)
    await _add(connection, secret, salt, {_fingerprint(word, salt) for word in secret.read()})


async def _lock(connection: AsyncConnection, secret: DataSecret) -> None:
    key = func.hashtext(f"secret {secret.name}")
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


async def _has_fingerprint(connection: AsyncConnection, secret: DataSecret) -> bool:
    stored = select(secret_fingerprint.c.secret).where(secret_fingerprint.c.secret == secret.name)
    return (await connection.execute(stored.limit(1))).first() is not None


async def _compare(connection: AsyncConnection, secret: DataSecret) -> tuple[bytes, set[bytes]]:
    """The salt of this secret, and the fingerprints of what is here and not stored."""
    columns = select(secret_fingerprint.c.fingerprint, secret_fingerprint.c.salt)
    rows = await connection.execute(columns.where(secret_fingerprint.c.secret == secret.name))
    stored = {fingerprint: salt for fingerprint, salt in rows if fingerprint != UNKNOWN}
    salt = next(iter(stored.values()), None) or os.urandom(SALT_BYTES)
    here = {_fingerprint(word, salt) for word in secret.read()}
    if stored.keys() - here:
        raise SecretMismatch(
            f"{secret.place} is another than the database was written with, or lacks an older "
            'key: restore the former one; see "Secrets" in docs/operations/running.md'
        )
    return salt, here - stored.keys()


async def _delete(
    connection: AsyncConnection, secret: DataSecret, fingerprint: bytes | None = None
) -> None:
    old = delete(secret_fingerprint).where(secret_fingerprint.c.secret == secret.name)
    if fingerprint is not None:
        old = old.where(secret_fingerprint.c.fingerprint == fingerprint)
    await connection.execute(old)


async def _add(
    connection: AsyncConnection, secret: DataSecret, salt: bytes, fingerprints: set[bytes]
) -> None:
    rows = [
        {"secret": secret.name, "fingerprint": each, "salt": salt} for each in sorted(fingerprints)
    ]
    await connection.execute(insert(secret_fingerprint), rows)


def _fingerprint(word: str, salt: bytes) -> bytes:
    """16 MiB and some 50 ms of work for each word."""
    return hashlib.scrypt(word.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
