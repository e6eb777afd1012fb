"""Sign-in by the organisation's provider: from its claims to a session.

A user in none of the groups of the setting has no entry. A user is identified by the provider's
permanent subject; an equal name or address here proves nothing.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.encryption import Cipher
from callcenter.platform.core.errors import InvalidRequest, ProviderRefused
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import (
    external_identities,
    second_factor_store,
    sessions,
    sign_in_attempts,
    store,
)
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.oidc_claims import Claims, has_second_factor, name_of, role_of
from callcenter.platform.identity.oidc_client import Client, Confirmation, OidcClient, is_safe
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work

BACK = "/sign-in/provider/back"
#: The actor of changes of users that follow their groups at the provider.
PROVIDER = Actor(None, command="provider")
NO_ROLE = "no_role"  #: the refusal of who is in none of our groups


@dataclass(frozen=True)
class OidcSignIn:
    """The provider, and the settings of its users."""

    provider: OidcClient
    groups: str
    roles: Mapping[str, Role]
    strong_methods: frozenset[str]
    signed_out_address: str  # where the provider sends browsers that signed out
    secrets_folder: Path

    @property
    def issuer(self) -> str:
        return self.provider.client.issuer

    def seal_token(self, user_id: UUID, token: str | None) -> bytes | None:
        """Encrypt a refresh token for this user."""
        return None if token is None else self._cipher().seal(user_id, token.encode())

    def open_token(self, user_id: UUID, sealed: bytes) -> str:
        """Decrypt a refresh token of this user. Raises DecryptionFailed."""
        return self._cipher().open(user_id, sealed).decode()

    def _cipher(self) -> Cipher:
        return Cipher("refresh token", read_secret(self.secrets_folder, "second_factor").split())


def read_oidc_sign_in(settings: Settings) -> OidcSignIn | None:
    """The settings of sign-in by a provider; None where there is none.

    Raises InvalidRequest that names the setting that is wrong or missing.
    """
    if settings.oidc_issuer is None:
        if settings.password_names is not None:
            raise _wrong_setting(
                "PASSWORD_NAMES", "without CALLCENTER_OIDC_ISSUER nobody could sign in"
            )
        return None
    if settings.public_url is None or not is_safe(settings.public_url):
        raise _wrong_setting("PUBLIC_URL", "sign-in by a provider needs it, with https://")
    if not is_safe(settings.oidc_issuer):
        raise _wrong_setting("OIDC_ISSUER", "it begins with https://")
    if "openid" not in settings.oidc_scopes.split():
        raise _wrong_setting("OIDC_SCOPES", "`openid` must be among them")
    if settings.password_names == ():
        raise _wrong_setting(
            "PASSWORD_NAMES", "name an administrator, for when the provider is away"
        )
    try:
        roles = {group: Role(role) for group, role in settings.oidc_roles.items()}
    except ValueError as exc:
        choices = ", ".join(role.value for role in Role)
        raise _wrong_setting("OIDC_ROLES", f"{exc}: choose among {choices}") from exc
    if not roles:
        raise _wrong_setting("OIDC_ROLES", "without it nobody has an entry")
    secret = settings.oidc_client_secret
    client = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        redirect_uri=settings.public_url + BACK,
        scopes=settings.oidc_scopes,
    )
    return OidcSignIn(
        OidcClient(client),
        settings.oidc_groups_claim,
        roles,
        frozenset(settings.oidc_second_factor),
        f"{settings.public_url}/sign-in",
        settings.secrets_folder,
    )


async def sign_in_by_provider(
    engine: AsyncEngine,
    by: OidcSignIn,
    demanding: Set[Role],
    confirmation: Confirmation,
    visitor: Visitor,
) -> tuple[str, bool]:
    """The token of a session, and True; or of an entrance, and False.

    As `sign_in.sign_in`. The role is that of the person's groups now. Raises ProviderRefused, which
    is in the audit log.
    """
    claims = confirmation.claims
    try:
        async with unit_of_work(engine) as connection:
            user = await _find_or_add_user(connection, by, claims)
            sealed = by.seal_token(user.id, confirmation.refresh_token)
            await external_identities.confirm(connection, user.id, sealed)
            if not await _needs_factor(connection, by, demanding, claims, user):
                return await sessions.begin(connection, user, visitor, by="provider"), True
            await sign_in_attempts.forgive_address(connection, visitor)
            token = sessions.new_token()
            await store.begin_entrance(connection, user_id=user.id, token=token)
            return token, False
    except ProviderRefused as refusal:
        await refuse(engine, by, claims, refusal.why, visitor.address)
        raise


async def refuse(
    engine: AsyncEngine, by: OidcSignIn, claims: Claims | None, why: str, address: str
) -> None:
    """Put a refusal into the audit log; a user without any group loses sessions and telephone."""
    async with unit_of_work(engine) as connection:
        user = None
        if claims is not None:
            user = await external_identities.find(
                connection, issuer=by.issuer, subject=claims["sub"]
            )
        if user is not None and why == NO_ROLE:
            await store.set_entitled(connection, user.id, entitled=False)
        elif user is not None:
            await store.end_sessions(connection, user.id)
        await audit_action(
            connection,
            Actor(None, address),
            IdentityAction.SIGN_IN_REFUSED,
            f"user:{user.name}" if user else "unknown",
            {"why": why, "by": "provider"},
        )


async def _find_or_add_user(
    connection: AsyncConnection, by: OidcSignIn, claims: Claims
) -> store.User:
    """The user with the current role; a new one is added."""
    subject = claims["sub"]
    role = role_of(claims, by.groups, by.roles)
    user = await external_identities.find(connection, issuer=by.issuer, subject=subject)
    if user is not None and not user.active:
        raise ProviderRefused("disabled")
    if role is None:
        raise ProviderRefused(NO_ROLE)
    if user is None:
        return await _add(connection, by, subject, name_of(claims), role)
    await store.set_entitled(connection, user.id, entitled=True)
    await follow_role(connection, user, role)
    return await _find_user(connection, user.name)


async def follow_role(connection: AsyncConnection, user: store.User, role: Role) -> None:
    """Give a user the role of their groups; sessions with another one end."""
    if user.role is not role:
        await store.set_role(connection, name=user.name, role=role)
        await _audit(connection, IdentityAction.ROLE_FOLLOWED, user.name, role)


async def _add(
    connection: AsyncConnection, by: OidcSignIn, subject: str, name: str, role: Role
) -> store.User:
    try:
        await store.add_user(connection, name=name, role=role, password_hash="")
    except InvalidRequest as exc:
        raise ProviderRefused("name") from exc
    await external_identities.link(connection, name=name, issuer=by.issuer, subject=subject)
    await _audit(connection, IdentityAction.USER_CAME, name, role)
    return await _find_user(connection, name)


async def _find_user(connection: AsyncConnection, name: str) -> store.User:
    user = await store.find_user(connection, name)
    if user is None:
        raise ProviderRefused("name")
    return user


async def _needs_factor(
    connection: AsyncConnection,
    by: OidcSignIn,
    demanding: Set[Role],
    claims: Claims,
    user: store.User,
) -> bool:
    """Whether our second factor is needed: the provider did not prove one."""
    if has_second_factor(claims, by.strong_methods):
        return False
    return user.role in demanding or await second_factor_store.find(connection, user.id) is not None


async def _audit(connection: AsyncConnection, action: Action, name: str, role: Role) -> None:
    await audit_action(connection, PROVIDER, action, f"user:{name}", {"role": role.value})


def _wrong_setting(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"wrong setting: CALLCENTER_{name}: {why}")
