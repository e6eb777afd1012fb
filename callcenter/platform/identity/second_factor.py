"""The second factor at sign-in: enrolment and proof."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pyotp
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.encryption import Cipher, DecryptionFailed
from callcenter.platform.core.errors import CodeRefused, InvalidRequest, SignInNeeded
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import login_throttle, second_factor_store, sessions, store, totp
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work


def demanding_roles(settings: Settings) -> frozenset[Role]:
    """The roles that require a second factor. Raises InvalidRequest."""
    try:
        return frozenset(map(Role, settings.second_factor_roles))
    except ValueError as exc:
        choices = ", ".join(role.value for role in Role)
        raise InvalidRequest(
            f"wrong setting: CALLCENTER_SECOND_FACTOR_ROLES: {exc}: choose among {choices}"
        ) from exc


class SecondFactors:
    """Second factors, encrypted with the secret `second_factor` for their users."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings, self._engine = settings, engine

    def _cipher(self) -> Cipher:
        words = read_secret(self._settings.secrets_folder, "second_factor").split()
        return Cipher("second factor", words)

    def propose(self, user: store.User) -> str:
        """A new secret, encrypted for the form: it is stored once a code of it came back.

        So a secret that somebody else saw who has the password never becomes the person's.
        """
        secret = pyotp.random_base32()
        return base64.urlsafe_b64encode(self._cipher().seal(user.id, secret.encode())).decode()

    def secret_of(self, user: store.User, proposed: str) -> str:
        """Decrypt the secret of a form that `propose` made for this user.

        Raises InvalidRequest.
        """
        try:
            sealed = base64.urlsafe_b64decode(proposed.encode())
            return self._cipher().open(user.id, sealed).decode()
        except (DecryptionFailed, ValueError) as exc:
            raise InvalidRequest("this form is not ours: open the page again") from exc

    async def enroll(
        self, user: store.User, *, proposed: str, typed: str, entrance: str | None, visitor: Visitor
    ) -> tuple[tuple[str, ...], str | None]:
        """Store the proposed secret, proved by a code of it.

        Returns the recovery codes, which are shown this once, and the token of the session that
        begins when the person came by an entrance. Raises CodeRefused; InvalidRequest when there is
        a second factor already; SignInNeeded when the entrance is gone.
        """
        secret = self.secret_of(user, proposed)
        step = totp.matching_step(secret, typed, now=datetime.now(UTC), after=0)
        if step is None:
            raise CodeRefused
        made = totp.new_recovery_codes()
        async with unit_of_work(self._engine) as connection:
            sealed = self._cipher().seal(user.id, secret.encode())
            if not await second_factor_store.add(
                connection, user_id=user.id, secret=sealed, step=step, codes=made
            ):
                raise InvalidRequest("you have a second factor already")
            token = None if entrance is None else await _enter(connection, user, entrance, visitor)
            await _audit(connection, IdentityAction.SECOND_FACTOR_ENROLLED, user, visitor)
        return made, token

    async def prove(self, user: store.User, *, typed: str, entrance: str, visitor: Visitor) -> str:
        """Check a code and return the token of a new session.

        Tries are few, so that who has the password guesses no code. Raises RateLimited, CodeRefused
        (which is in the audit log), SignInNeeded.
        """
        await login_throttle.check_code(self._engine, name=user.name, visitor=visitor)
        recovery = totp.recovery_code(typed)
        async with unit_of_work(self._engine) as connection:
            right = await (
                self._accept_totp(connection, user, typed)
                if recovery is None
                else second_factor_store.use_recovery_code(
                    connection, user_id=user.id, code=recovery
                )
            )
            # Entries of the audit log come last, see audit.store.record.
            token = await _enter(connection, user, entrance, visitor) if right else None
            if token is None:
                await _audit(
                    connection, IdentityAction.SECOND_FACTOR_REFUSED, user, visitor, is_proved=False
                )
            elif recovery is not None:
                left = await second_factor_store.codes_left(connection, user.id)
                await _audit(
                    connection, IdentityAction.RECOVERY_CODE_USED, user, visitor, left=left
                )
        if token is None:
            raise CodeRefused
        return token

    async def _accept_totp(self, connection: AsyncConnection, user: store.User, typed: str) -> bool:
        """Whether the code is the current one; it is used up then."""
        factor = await second_factor_store.find(connection, user.id)
        if factor is None:
            return False
        secret = self._cipher().open(user.id, factor[0]).decode()
        step = totp.matching_step(secret, typed, now=datetime.now(UTC), after=factor[1])
        if step is None:
            return False
        # Of two who send the same code at once, one is first.
        return await second_factor_store.accept_step(connection, user_id=user.id, step=step)

    async def codes_left(self, user_id: UUID) -> int | None:
        """The number of recovery codes left; None without a second factor."""
        async with unit_of_work(self._engine) as connection:
            if await second_factor_store.find(connection, user_id) is None:
                return None
            return await second_factor_store.codes_left(connection, user_id)


async def _enter(
    connection: AsyncConnection, user: store.User, entrance: str, visitor: Visitor
) -> str:
    """Turn the entrance into a session."""
    if not await store.end_entrance(connection, entrance):
        raise SignInNeeded
    return await sessions.begin(connection, user, visitor)


async def _audit(
    connection: AsyncConnection,
    action: Action,
    user: store.User,
    visitor: Visitor,
    *,
    is_proved: bool = True,
    **detail: int,
) -> None:
    """Add an audit entry about this user, by the user only if `is_proved`."""
    await audit_action(
        connection,
        Actor(user if is_proved else None, visitor.address),
        action,
        f"user:{user.name}",
        detail,
    )
