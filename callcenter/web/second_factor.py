"""The second factor at sign-in: setting it up, and proving it."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pyotp
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.cipher import Cipher, Unreadable
from callcenter.errors import AskedWrongly
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.web import codes, factors, lock_out, sessions, store
from callcenter.web.errors import CodeRefused, SignInNeeded
from callcenter.web.permissions import Role


def demanding_roles(settings: Settings) -> frozenset[Role]:
    """The roles that may do nothing without a second factor. Raises AskedWrongly."""
    try:
        return frozenset(map(Role, settings.second_factor_roles))
    except ValueError as exc:
        known = ", ".join(role.value for role in Role)
        raise AskedWrongly(
            f"wrong setting: CALLCENTER_SECOND_FACTOR_ROLES: {exc}: choose among {known}"
        ) from exc


class Factors:
    """Second factors, each kept under the secret `second_factor` and bound to its person."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings, self._engine = settings, engine

    def _cipher(self) -> Cipher:
        words = read_secret(self._settings.secrets_folder, "second_factor").split()
        return Cipher("second factor", words)

    def propose(self, user: store.User) -> str:
        """A new secret, sealed for the form: nothing is kept until a code of it came back.

        So a secret that somebody else saw who has the password never becomes the person's.
        """
        secret = pyotp.random_base32()
        return base64.urlsafe_b64encode(self._cipher().seal(user.id, secret.encode())).decode()

    def secret_of(self, user: store.User, proposed: str) -> str:
        """The secret in a form that `propose` made for this person. Raises AskedWrongly."""
        try:
            sealed = base64.urlsafe_b64decode(proposed.encode())
            return self._cipher().open(user.id, sealed).decode()
        except (Unreadable, ValueError) as exc:
            raise AskedWrongly("this form is not ours: open the page again") from exc

    async def enroll(
        self, user: store.User, *, proposed: str, typed: str, entrance: str | None, address: str
    ) -> tuple[tuple[str, ...], str | None]:
        """Keep the proposed secret, for a code of it was typed.

        Returns the recovery codes, which are told this once, and the token of the session that
        begins when the person came by an entrance. Raises CodeRefused; AskedWrongly when there is
        a second factor already; SignInNeeded when the entrance is gone.
        """
        secret = self.secret_of(user, proposed)
        step = codes.matching_step(secret, typed, now=datetime.now(UTC), after=0)
        if step is None:
            raise CodeRefused
        made = codes.new_recovery_codes()
        async with unit_of_work(self._engine) as connection:
            sealed = self._cipher().seal(user.id, secret.encode())
            if not await factors.add(
                connection, user_id=user.id, secret=sealed, step=step, codes=made
            ):
                raise AskedWrongly("you have a second factor already")
            token = None if entrance is None else await _enter(connection, user, entrance, address)
            await _note(connection, Action.SECOND_FACTOR_ENROLLED, user, address)
        return made, token

    async def prove(self, user: store.User, *, typed: str, entrance: str, address: str) -> str:
        """Check a code and return the token of a new session.

        Each try counts as one to sign in, so a name with a right password is locked too. Raises
        TooManyTries, CodeRefused (which is in the audit log), SignInNeeded.
        """
        await lock_out.check(self._engine, name=user.name, address=address)
        recovery = codes.recovery_code(typed)
        async with unit_of_work(self._engine) as connection:
            right = await (
                self._shows(connection, user, typed)
                if recovery is None
                else factors.use_recovery_code(connection, user_id=user.id, code=recovery)
            )
            # Entries of the audit log come last, see audit.store.record.
            token = await _enter(connection, user, entrance, address) if right else None
            if token is None:
                await _note(connection, Action.SECOND_FACTOR_REFUSED, user, address, known=False)
            elif recovery is not None:
                left = await factors.codes_left(connection, user.id)
                await _note(connection, Action.RECOVERY_CODE_USED, user, address, left=left)
        if token is None:
            raise CodeRefused
        return token

    async def _shows(self, connection: AsyncConnection, user: store.User, typed: str) -> bool:
        """Whether that is what the telephone shows now; the code is used up."""
        factor = await factors.find(connection, user.id)
        if factor is None:
            return False
        secret = self._cipher().open(user.id, factor[0]).decode()
        step = codes.matching_step(secret, typed, now=datetime.now(UTC), after=factor[1])
        if step is None:
            return False
        # Of two who send the same code at once, one is first.
        return await factors.accept_step(connection, user_id=user.id, step=step)

    async def codes_left(self, user_id: UUID) -> int | None:
        """How many recovery codes a person has; None without a second factor."""
        async with unit_of_work(self._engine) as connection:
            if await factors.find(connection, user_id) is None:
                return None
            return await factors.codes_left(connection, user_id)


async def _enter(connection: AsyncConnection, user: store.User, entrance: str, address: str) -> str:
    """Make the entrance a session."""
    if not await store.end_entrance(connection, entrance):
        raise SignInNeeded
    return await sessions.begin(connection, user, address)


async def _note(
    connection: AsyncConnection,
    action: Action,
    user: store.User,
    address: str,
    *,
    known: bool = True,
    **detail: int,
) -> None:
    """Add an entry about this person; unless `known`, somebody may only say to be that person."""
    await record(
        connection,
        who=f"user:{user.name}" if known else "anonymous",
        action=action,
        subject=f"user:{user.name}",
        detail=detail,
        from_address=address,
    )
