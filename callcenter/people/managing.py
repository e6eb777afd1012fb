"""What administrators change of people: on the pages, by the API and by the command, audited.

Nobody is ever deleted, so that the audit log stays readable. Whoever is changed is signed out. All
raise AskedWrongly, and then nothing is changed.
"""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants import store as consultants
from callcenter.errors import AskedWrongly, Conflict
from callcenter.people.store import other_administrators
from callcenter.web import factors, identities, store
from callcenter.web.passwords import generate_password, hash_password
from callcenter.web.permissions import Role
from callcenter.web.site import Visit


class Own(Conflict):
    """Somebody else has to change your own role, or shut you out."""


class LastAdministrator(Conflict):
    """There would be no administrator left who may sign in: add another one first."""


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and where: by pages and API (`web`) or by the `command`."""

    who: str
    source: str
    address: str | None = None

    @classmethod
    def visitor(cls, visit: Visit) -> "By":
        """Somebody who is signed in."""
        return cls(visit.who, "web", visit.address)


async def make_password() -> tuple[str, str]:
    """A new password, to be shown once, and its hash."""
    made = generate_password()
    return made, await asyncio.to_thread(hash_password, made)


async def add(
    connection: AsyncConnection, by: By, name: str, role: Role, password_hash: str
) -> None:
    """Add a person."""
    await store.add_user(connection, name=name, role=role, password_hash=password_hash)
    await _note(connection, by, "user:added", name, role=role.value)


async def give_role(connection: AsyncConnection, by: By, name: str, role: Role) -> None:
    """Make a person something else to the center."""
    _check_not_own(by, name)
    if role is not Role.ADMINISTRATOR:
        await _check_administrators(connection, name)
    await store.set_role(connection, name=name, role=role)
    await _note(connection, by, "user:role_given", name, role=role.value)


async def set_active(connection: AsyncConnection, by: By, name: str, *, active: bool) -> None:
    """Let a person in, or shut out at once."""
    if not active:
        _check_not_own(by, name)
        await _check_administrators(connection, name)
    await store.set_active(connection, name=name, active=active)
    await _note(connection, by, "user:enabled" if active else "user:disabled", name)


async def set_password(connection: AsyncConnection, by: By, name: str, password_hash: str) -> None:
    """Give a person a new password."""
    await store.set_password(connection, name=name, password_hash=password_hash)
    await _note(connection, by, "user:password_set", name)


async def reset_second_factor(connection: AsyncConnection, by: By, name: str) -> None:
    """Take a person's second factor away: the telephone is lost, or new."""
    await factors.remove(connection, name)
    await _note(connection, by, "second_factor:reset", name)


async def link_consultant(connection: AsyncConnection, by: By, name: str, extension: str) -> None:
    """Say which consultant a person is; "": none."""
    consultant_id = await consultants.id_of(connection, extension) if extension else None
    await store.link_consultant(connection, name=name, consultant_id=consultant_id)
    await _note(
        connection, by, "user:linked", name, **({"extension": extension} if extension else {})
    )


async def link_identity(
    connection: AsyncConnection, by: By, name: str, issuer: str | None, subject: str
) -> None:
    """Say who a person is to the organisation's sign-in; "": nobody."""
    if issuer is None:
        raise AskedWrongly("no organisation's sign-in is set up: see CALLCENTER_OIDC_ISSUER")
    if subject:
        await identities.link(connection, name=name, issuer=issuer, subject=subject)
    else:
        user = await store.find_user(connection, name)
        if user is None:
            raise AskedWrongly(f"there is no user {name}: `callcenter users list` shows all")
        await identities.unlink(connection, user.id)
    await _note(connection, by, "user:identified", name, subject=subject)


async def sign(
    connection: AsyncConnection, by: By, name: str, full_name: str, position: str
) -> None:
    """Say how a person signs receipts."""
    await store.set_signature(connection, name=name, full_name=full_name, position=position)
    await _note(connection, by, "user:signs", name)


def _check_not_own(by: By, name: str) -> None:
    if by.who == f"user:{name}":
        raise Own


async def _check_administrators(connection: AsyncConnection, name: str) -> None:
    """An administrator goes only while another one stays."""
    user = await store.find_user(connection, name)
    if user is None or user.role is not Role.ADMINISTRATOR or not user.active:
        return
    if not await other_administrators(connection, name):
        raise LastAdministrator


async def _note(connection: AsyncConnection, by: By, deed: str, name: str, **detail: str) -> None:
    await record(
        connection,
        who=by.who,
        action=Action(f"{by.source}:{deed}"),
        subject=f"user:{name}",
        detail=detail,
        from_address=by.address,
    )
