"""Service of users for pages, API and commands: add and change them, with audit entries.

Users are never deleted, so that the audit log stays readable. A changed user is signed out. All
functions raise InvalidRequest, and then nothing is changed.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import Conflict, InvalidRequest
from callcenter.platform.identity import (
    external_identities,
    invitations,
    second_factor_store,
    store,
)
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.passwords import Passwords, generate_password
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.users.actions import AccountAction
from callcenter.users.store import has_other_administrator


class CannotChangeOwnAccount(Conflict):
    """Somebody else has to change your own role, or shut you out."""


class LastAdministrator(Conflict):
    """There would be no administrator left who may sign in: add another one first."""


class NotAssignable(InvalidRequest):
    """The role has no permissions in this version: `assignable_roles` lists those that have."""


async def make_password(passwords: Passwords) -> tuple[str, str]:
    """Generate a password, to be shown once, and its hash."""
    made = generate_password()
    return made, await passwords.hash(made)


async def add(
    connection: AsyncConnection, actor: Actor, name: str, role: Role, password_hash: str = ""
) -> None:
    """Add a user; without a password nobody can sign in until `invite` was followed."""
    _check_assignable(role)
    await store.add_user(connection, name=name, role=role, password_hash=password_hash)
    await _audit_user(connection, actor, "user:added", name, role=role.value)


async def give_role(connection: AsyncConnection, actor: Actor, name: str, role: Role) -> None:
    """Give a user another role."""
    _check_assignable(role)
    _check_not_own(actor, name)
    if role is not Role.ADMINISTRATOR:
        await _check_administrators(connection, name)
    await store.set_role(connection, name=name, role=role)
    await _audit_user(connection, actor, "user:role_given", name, role=role.value)


async def set_active(connection: AsyncConnection, actor: Actor, name: str, *, active: bool) -> None:
    """Enable a user, or disable one at once."""
    if not active:
        _check_not_own(actor, name)
        await _check_administrators(connection, name)
    await store.set_active(connection, name=name, active=active)
    await _audit_user(connection, actor, "user:enabled" if active else "user:disabled", name)


async def set_password(
    connection: AsyncConnection, actor: Actor, name: str, password_hash: str
) -> None:
    """Set a user's password."""
    await store.set_password(connection, name=name, password_hash=password_hash)
    await _audit_user(connection, actor, "user:password_set", name)


async def invite(connection: AsyncConnection, actor: Actor, name: str) -> tuple[str, datetime]:
    """Take a user's password away, and make the link to choose another: its token and its end."""
    await store.set_password(connection, name=name, password_hash="")
    user = await store.get_user(connection, name)
    await _audit_user(connection, actor, "user:invited", name)
    return await invitations.invite(connection, user)


async def reset_second_factor(connection: AsyncConnection, actor: Actor, name: str) -> None:
    """Reset a user's second factor, after loss of the telephone."""
    await second_factor_store.remove(connection, name)
    await _audit_user(connection, actor, "second_factor:reset", name)


async def link_consultant(
    connection: AsyncConnection, actor: Actor, name: str, extension: str
) -> None:
    """Link a user with a consultant; "": none.

    The telephone that the user had gets a secret that nobody has: `callcenter consultants password`
    gives it another, for who has it next.
    """
    user = await store.find_user(connection, name)
    former = None if user is None else await consultants.extension_of_user(connection, user.id)
    consultant_id = await consultants.id_of(connection, extension) if extension else None
    if former is not None and former != extension:
        await consultants.change_secret(connection, former)
    await store.link_consultant(connection, name=name, consultant_id=consultant_id)
    await _audit_user(
        connection, actor, "user:linked", name, **({"extension": extension} if extension else {})
    )


async def link_identity(
    connection: AsyncConnection, actor: Actor, name: str, issuer: str | None, subject: str
) -> None:
    """Link a user with an account at the organisation's sign-in; "": none."""
    if issuer is None:
        raise InvalidRequest("no organisation's sign-in is set up: see CALLCENTER_OIDC_ISSUER")
    if subject:
        await external_identities.link(connection, name=name, issuer=issuer, subject=subject)
    else:
        await external_identities.unlink(connection, (await store.get_user(connection, name)).id)
    await _audit_user(connection, actor, "user:identified", name, subject=subject)


async def set_signature(
    connection: AsyncConnection, actor: Actor, name: str, full_name: str, position: str
) -> None:
    """Set a user's signature on receipts."""
    await store.set_signature(connection, name=name, full_name=full_name, position=position)
    await _audit_user(connection, actor, "user:signs", name)


def _check_assignable(role: Role) -> None:
    if role not in assignable_roles():
        roles = ", ".join(each.value for each in assignable_roles())
        raise NotAssignable(f"the role {role.value} may do nothing yet: give one of {roles}")


def _check_not_own(actor: Actor, name: str) -> None:
    if actor.who == f"user:{name}":
        raise CannotChangeOwnAccount


async def _check_administrators(connection: AsyncConnection, name: str) -> None:
    """Raise LastAdministrator when no other administrator would be left."""
    user = await store.find_user(connection, name)
    if user is None or user.role is not Role.ADMINISTRATOR or not user.active:
        return
    if not await has_other_administrator(connection, name):
        raise LastAdministrator


async def _audit_user(
    connection: AsyncConnection, actor: Actor, action: str, name: str, **detail: str
) -> None:
    named = AccountAction.named(f"{actor.source}:{action}")
    await audit_action(connection, actor, named, f"user:{name}", detail)
