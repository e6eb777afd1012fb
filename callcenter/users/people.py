"""People as one thing: the account, how it signs, and the consultant who takes calls.

What the page of a user has on one form is saved in one transaction, with an entry in the audit log
for each thing that differs. All functions raise InvalidRequest, and then nothing is changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import service as consultants
from callcenter.consultants import store as consultant_store
from callcenter.consultants.accounts import (
    check_free_of_services,
    check_languages,
    digest_of,
    new_password,
)
from callcenter.consultants.rules.teams import read_team
from callcenter.consultants.store import Consultant
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.users import service, store
from callcenter.users.store import UserDetails


class PersonField(StrEnum):
    """A field of the form of a person that may be wrong."""

    NAME = "name"
    FULL_NAME = "full_name"
    EXTENSION = "extension"
    LANGUAGES = "languages"
    TEAM = "team"


class WrongField(InvalidRequest):
    """The text of one field cannot be saved."""

    def __init__(self, field: PersonField, why: str) -> None:
        super().__init__(why)
        self.field = field


@contextmanager
def _typed_into(field: PersonField) -> Iterator[None]:
    """Raise what is refused within, and has no name of its own, as of this field."""
    try:
        yield
    except InvalidRequest as refusal:
        if type(refusal) is not InvalidRequest:
            raise
        raise WrongField(field, str(refusal)) from refusal


@dataclass(frozen=True, slots=True)
class ConsultantDetails:
    """The details of a person who takes calls; `team` "": none, `skills`: levels by code."""

    extension: str
    languages: tuple[str, ...]
    skills: Mapping[str, int]
    team: str
    in_browser: bool  #: the telephone is the workspace, not a softphone


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """The details of a person, as the form has them; `consultant` None: takes no calls."""

    role: Role
    full_name: str  #: surname and initials: on receipts, and for colleagues
    position: str
    consultant: ConsultantDetails | None


async def add(
    connection: AsyncConnection,
    actor: Actor,
    name: str,
    person: PersonDetails,
    called: Iterable[str],
) -> tuple[str, datetime, str | None]:
    """Add a person; returns the token of the invitation, its end, and a softphone's password.

    `called` are the numbers besides 111 by which the line is called: no extension is one of them.
    """
    with _typed_into(PersonField.NAME):
        await service.add(connection, actor, name, person.role)
    password = await change(connection, actor, name, person, called)
    token, until = await service.invite(connection, actor, name)
    return token, until, password


async def change(
    connection: AsyncConnection,
    actor: Actor,
    name: str,
    person: PersonDetails,
    called: Iterable[str],
) -> str | None:
    """Save the details that differ; returns the password of a softphone that got one.

    The person is signed out when anything of the account differs.
    """
    current = await store.find(connection, name)
    if person.role is not current.role:
        await service.give_role(connection, actor, name, person.role)
    if (person.full_name, person.position) != (current.full_name, current.position):
        with _typed_into(PersonField.FULL_NAME):
            await service.set_signature(connection, actor, name, person.full_name, person.position)
    return await _change_consultant(connection, actor, current, person, called)


async def _change_consultant(
    connection: AsyncConnection,
    actor: Actor,
    current: UserDetails,
    person: PersonDetails,
    called: Iterable[str],
) -> str | None:
    """Save the consultant; returns the password that a softphone got."""
    details = person.consultant
    if details is None:
        if current.extension is not None:
            await service.link_consultant(connection, actor, current.name, "")
        return None
    with _typed_into(PersonField.LANGUAGES):
        check_languages(details.languages)
    with _typed_into(PersonField.TEAM):
        details = replace(details, team=read_team(details.team) or "")
    extension = details.extension
    with _typed_into(PersonField.EXTENSION):
        before = await _find_or_add(connection, actor, details, person.full_name, called)
        if current.extension != extension:
            await service.link_consultant(connection, actor, current.name, extension)
    if before.name != person.full_name:
        await consultants.rename(connection, actor, extension, person.full_name)
    saved = (before.languages, dict(before.skills), before.team or "")
    if saved != (details.languages, dict(details.skills), details.team):
        await consultants.set_details(
            connection, actor, extension, details.languages, details.skills, details.team
        )
    if before.in_browser != details.in_browser:
        await consultants.set_telephone(connection, actor, extension, in_browser=details.in_browser)
    if details.in_browser or (current.extension == extension and not before.in_browser):
        return None
    return await give_softphone_password(connection, actor, extension)


async def give_softphone_password(connection: AsyncConnection, actor: Actor, extension: str) -> str:
    """Give a softphone a new password, and return it: it is shown once."""
    password = new_password()
    digest = digest_of(extension, password)
    await consultants.set_digest(connection, actor, extension, digest)
    return password


async def _find_or_add(
    connection: AsyncConnection,
    actor: Actor,
    details: ConsultantDetails,
    name: str,
    called: Iterable[str],
) -> Consultant:
    existing = {each.extension: each for each in await consultant_store.everyone(connection)}
    if details.extension not in existing:
        check_free_of_services(details.extension, called)
        await consultants.add_consultant(
            connection,
            actor,
            extension=details.extension,
            name=name,
            languages=details.languages,
            digest=digest_of(details.extension, new_password()),
        )
    return await consultant_store.find(connection, details.extension)
