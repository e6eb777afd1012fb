"""Signing in by the organisation's provider: the rule, from what it says to a session.

Who is in none of the groups of the setting has no entry. A person is known by the subject that the
provider gives for ever; a name or an address that is the same as somebody's here proves nothing.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import AskedWrongly
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.web import factors, identities, sessions, store
from callcenter.web.claims import Claims, has_second_factor, name_of, role_of
from callcenter.web.errors import ProviderRefused
from callcenter.web.permissions import Role
from callcenter.web.provider import Client, Provider, is_safe

BACK = "/sign-in/provider/back"
PROVIDER = "system:provider"  # who changes people here as their groups change there


@dataclass(frozen=True)
class ByProvider:
    """The provider, and what the settings make of its people."""

    provider: Provider
    groups: str
    roles: Mapping[str, Role]
    strong: frozenset[str]
    left: str  # where the provider sends browsers that signed out

    @property
    def issuer(self) -> str:
        return self.provider.client.issuer


def by_provider(settings: Settings) -> ByProvider | None:
    """What the settings say; None where people sign in here alone.

    Raises AskedWrongly that names the setting that is wrong or missing.
    """
    if settings.oidc_issuer is None:
        if settings.password_names is not None:
            raise _wrong("PASSWORD_NAMES", "without CALLCENTER_OIDC_ISSUER nobody could sign in")
        return None
    if settings.public_url is None or not is_safe(settings.public_url):
        raise _wrong("PUBLIC_URL", "sign-in by a provider needs it, with https://")
    if not is_safe(settings.oidc_issuer):
        raise _wrong("OIDC_ISSUER", "it begins with https://")
    if "openid" not in settings.oidc_scopes.split():
        raise _wrong("OIDC_SCOPES", "`openid` must be among them")
    if settings.password_names == ():
        raise _wrong("PASSWORD_NAMES", "name an administrator, for when the provider is away")
    try:
        roles = {group: Role(role) for group, role in settings.oidc_roles.items()}
    except ValueError as exc:
        known = ", ".join(role.value for role in Role)
        raise _wrong("OIDC_ROLES", f"{exc}: choose among {known}") from exc
    if not roles:
        raise _wrong("OIDC_ROLES", "without it nobody has an entry")
    secret = settings.oidc_client_secret
    client = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        redirect_uri=settings.public_url + BACK,
        scopes=settings.oidc_scopes,
    )
    return ByProvider(
        Provider(client),
        settings.oidc_groups_claim,
        roles,
        frozenset(settings.oidc_second_factor),
        f"{settings.public_url}/sign-in",
    )


async def enter(
    engine: AsyncEngine, by: ByProvider, demanding: Set[Role], claims: Claims, address: str
) -> tuple[str, bool]:
    """The token of a session, and True; or of an entrance, and False, as `sign_in.sign_in`.

    The role is that of the person's groups now. Raises ProviderRefused, which is in the audit log.
    """
    try:
        async with unit_of_work(engine) as connection:
            user = await _person(connection, by, claims)
            if not await _owes_factor(connection, by, demanding, claims, user):
                return await sessions.begin(connection, user, address, by="provider"), True
            await store.forgive_address(connection, address)
            token = sessions.new_token()
            await store.begin_entrance(connection, user_id=user.id, token=token)
            return token, False
    except ProviderRefused as refusal:
        await refuse(engine, by, claims, refusal.why, address)
        raise


async def refuse(
    engine: AsyncEngine, by: ByProvider, claims: Claims | None, why: str, address: str
) -> None:
    """Put a refusal into the audit log; whoever lost all groups is signed out everywhere."""
    async with unit_of_work(engine) as connection:
        user = None
        if claims is not None:
            user = await identities.find(connection, issuer=by.issuer, subject=claims["sub"])
        if user is not None:
            await store.end_sessions(connection, user.id)
        await record(
            connection,
            who="anonymous",
            action=Action.SIGN_IN_REFUSED,
            subject=f"user:{user.name}" if user else "unknown",
            detail={"why": why, "by": "provider"},
            from_address=address,
        )


async def _person(connection: AsyncConnection, by: ByProvider, claims: Claims) -> store.User:
    """Who it is here, with the role of now; somebody new is added."""
    subject = claims["sub"]
    role = role_of(claims, by.groups, by.roles)
    user = await identities.find(connection, issuer=by.issuer, subject=subject)
    if user is not None and not user.active:
        raise ProviderRefused("disabled")
    if role is None:
        raise ProviderRefused("no_role")
    if user is None:
        return await _add(connection, by, subject, name_of(claims), role)
    if user.role is not role:
        await store.set_role(connection, name=user.name, role=role)
        await _note(connection, Action.ROLE_FOLLOWED, user.name, role)
    return await _named(connection, user.name)


async def _add(
    connection: AsyncConnection, by: ByProvider, subject: str, name: str, role: Role
) -> store.User:
    try:
        await store.add_user(connection, name=name, role=role, password_hash="")
    except AskedWrongly as exc:
        raise ProviderRefused("name") from exc
    await identities.link(connection, name=name, issuer=by.issuer, subject=subject)
    await _note(connection, Action.USER_CAME, name, role)
    return await _named(connection, name)


async def _named(connection: AsyncConnection, name: str) -> store.User:
    user = await store.find_user(connection, name)
    if user is None:
        raise ProviderRefused("name")
    return user


async def _owes_factor(
    connection: AsyncConnection,
    by: ByProvider,
    demanding: Set[Role],
    claims: Claims,
    user: store.User,
) -> bool:
    """Whether ours is asked for: the provider did not say that it asked for one."""
    if has_second_factor(claims, by.strong):
        return False
    return user.role in demanding or await factors.find(connection, user.id) is not None


async def _note(connection: AsyncConnection, action: Action, name: str, role: Role) -> None:
    await record(
        connection,
        who=PROVIDER,
        action=action,
        subject=f"user:{name}",
        detail={"role": role.value},
    )


def _wrong(name: str, why: str) -> AskedWrongly:
    return AskedWrongly(f"wrong setting: CALLCENTER_{name}: {why}")
