"""Passwords: argon2id, with the same work for unknown users."""

import asyncio
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callcenter.platform.core.errors import InvalidRequest

SHORTEST, LONGEST = 12, 256

# One takes 64 MiB and several threads: more at once would starve the calls on the machine.
AT_ONCE = 2


class Passwords:
    """Hashes and checks passwords outside the event loop, a few at once."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._nobody = _nobodys_hash()

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password matches the hash; None takes as long and is False."""
        async with self._turn:
            return await asyncio.to_thread(self.check, password_hash, password)

    async def hash(self, password: str) -> str:
        """The hash of a password, as `hash_password`. Raises InvalidRequest."""
        async with self._turn:
            return await asyncio.to_thread(hash_password, password)

    def check(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(password_hash)


@cache
def _nobodys_hash() -> str:
    """A hash to compare with when the user does not exist."""
    return PasswordHasher().hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """The hash of a password, as a PHC string.

    Processes that serve people use `Passwords.hash`.

    Raises InvalidRequest when the password is shorter than 12 or longer than 256 characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest(f"a password has {SHORTEST} to {LONGEST} characters: choose another")
    return PasswordHasher().hash(password)


def generate_password() -> str:
    """A password that cannot be guessed: 120 random bits in 20 characters."""
    return secrets.token_urlsafe(15)
