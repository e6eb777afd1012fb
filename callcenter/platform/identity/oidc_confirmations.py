"""Repeated confirmation of users by the organisation's provider, with refresh tokens."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import external_identities, store
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import audit_action
from callcenter.platform.identity.external_identities import DueIdentity
from callcenter.platform.identity.oidc_claims import role_of
from callcenter.platform.identity.oidc_client import Confirmation, GrantRefused, InvalidOidcResponse
from callcenter.platform.identity.oidc_sign_in import NO_ROLE, PROVIDER, OidcSignIn, follow_role
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work

#: How long somebody stays in about whom the provider can be asked no more: as long as a session.
UNCONFIRMED_LIMIT = store.SESSION_LIFETIME

log = logging.getLogger(__name__)


class OidcConfirmations:
    """Confirmations of the users of one provider; several processes share the work.

    Whoever is in none of the groups any more, or whose sign-in there has ended, loses sessions,
    telephone and offers in one transaction, and has them again after the next sign-in. While the
    provider is unavailable nobody loses anything.
    """

    def __init__(self, settings: Settings, engine: AsyncEngine, by: OidcSignIn) -> None:
        self._engine = engine
        self._by = by
        self._interval = settings.oidc_check_interval
        self._password_names = settings.password_names

    async def run(self) -> None:
        """Confirm whoever is due, until cancelled."""
        while True:
            await self.confirm_due()
            await asyncio.sleep(self._interval / 10)

    async def confirm_due(self) -> None:
        """Confirm all who are due now; faults are logged, one of provider or database ends it."""
        try:
            while (identity := await self._claim()) is not None:
                try:
                    await self._confirm(identity)
                except (InvalidOidcResponse, DecryptionFailed) as exc:
                    log.error("user not confirmed by the provider: %s: %s", identity.name, exc)
        except (CallcenterError, SQLAlchemyError, OSError) as exc:
            log.error("users not confirmed by the provider: %s: %s", type(exc).__name__, exc)

    async def _claim(self) -> DueIdentity | None:
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            return await external_identities.claim_due(
                connection,
                issuer=self._by.issuer,
                checked_before=now - timedelta(seconds=self._interval),
                confirmed_before=now - UNCONFIRMED_LIMIT,
            )

    async def _confirm(self, identity: DueIdentity) -> None:
        """Confirm one. Raises ProviderUnavailable, InvalidOidcResponse, SQLAlchemyError."""
        if identity.refresh_token is None or not identity.is_refreshable:
            await self._by.provider.check_available()  # else nobody could sign in again
            await self._shut_out(identity, "unconfirmed")
            return
        token = self._by.open_token(identity.user_id, identity.refresh_token)
        try:
            confirmation = await self._by.provider.refresh(token, identity.subject)
        except GrantRefused:  # signed out or disabled there, or the sign-in is over
            await self._shut_out(identity, "sign_in_ended")
            return
        role = role_of(confirmation.claims, self._by.groups, self._by.roles)
        if not confirmation.claims:
            await self._keep(identity, confirmation, None)
        elif role is None:
            await self._shut_out(identity, NO_ROLE)
        else:
            await self._keep(identity, confirmation, role)

    async def _keep(
        self, identity: DueIdentity, confirmation: Confirmation, role: Role | None
    ) -> None:
        """Keep the new token, and follow the role if the provider named one."""
        async with unit_of_work(self._engine) as connection:
            sealed = self._by.seal_token(identity.user_id, confirmation.refresh_token)
            if await external_identities.replace_token(
                connection, identity, sealed, is_confirmed=role is not None
            ):
                user = await store.find_user(connection, identity.name)
                if user is not None and role is not None:
                    await follow_role(connection, user, role)

    async def _shut_out(self, identity: DueIdentity, why: str) -> None:
        """End sessions, telephone and offers; sessions alone if a password lets the user in."""
        async with unit_of_work(self._engine) as connection:
            if not await external_identities.replace_token(connection, identity, None):
                return  # signed in again meanwhile
            if why != NO_ROLE and self._may_use_password(identity):
                await store.end_sessions(connection, identity.user_id)
                return
            await store.set_entitled(connection, identity.user_id, entitled=False)
            await audit_action(
                connection,
                PROVIDER,
                IdentityAction.ENTITLEMENT_LOST,
                f"user:{identity.name}",
                {"why": why},
            )
        log.info("shut out by the provider: user %s: %s", identity.name, why)

    def _may_use_password(self, identity: DueIdentity) -> bool:
        names = self._password_names
        return identity.has_password and (names is None or identity.name in names)
