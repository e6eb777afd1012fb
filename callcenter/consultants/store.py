"""Store of consultants in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, and_, case, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.accounts import (
    check_extension,
    check_languages,
    check_name,
    digest_of,
    new_password,
)
from callcenter.consultants.rules.skills import check_level
from callcenter.consultants.tables import browser_telephone, consultant, consultant_skill, skill
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import live_session
from callcenter.platform.identity.tables import web_session, web_user

CHANGED = "telephones"  #: of PostgreSQL's NOTIFY, by triggers: who may be offered calls, or where


class UnknownConsultant(InvalidRequest):
    """No consultant has this extension."""

    def __init__(self, extension: str) -> None:
        super().__init__(f"no consultant has the extension {extension}")


@dataclass(frozen=True, slots=True)
class Consultant:
    """A consultant's account. `digest` is the secret of the softphone: never log it.

    `active`: enabled, and not of a user who is shut out.
    """

    id: UUID
    extension: str
    name: str
    languages: tuple[str, ...]
    digest: str
    active: bool
    skills: Mapping[str, int] = field(default_factory=dict)  #: levels, by the code of the skill
    team: str | None = None
    in_browser: bool = False  #: the telephone is the workspace page, not a softphone


#: The person may not come in any more: an account that is disabled, or in no group of ours.
_is_shut_out = exists(web_user.c.consultant_id).where(  # a controller may not read all of a user
    web_user.c.consultant_id == consultant.c.id, or_(~web_user.c.active, ~web_user.c.entitled)
)
_is_active = and_(consultant.c.active, ~_is_shut_out)


def _query() -> Select[Any]:
    levels = (
        select(func.json_object_agg(consultant_skill.c.skill, consultant_skill.c.level))
        .join(skill, skill.c.code == consultant_skill.c.skill)
        .where(consultant_skill.c.consultant_id == consultant.c.id, skill.c.active)
        .scalar_subquery()
    )
    return select(
        consultant.c.id,
        consultant.c.extension,
        consultant.c.name,
        consultant.c.languages,
        consultant.c.digest,
        _is_active.label("active"),
        levels.label("skills"),
        consultant.c.team,
        consultant.c.in_browser,
    ).order_by(consultant.c.extension)


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[Consultant]:
    return [
        Consultant(
            row.id,
            row.extension,
            row.name,
            tuple(row.languages),
            row.digest,
            row.active,
            row.skills or {},
            row.team,
            row.in_browser,
        )
        for row in await connection.execute(query)
    ]


async def active(connection: AsyncConnection) -> list[Consultant]:
    """Active consultants, by extension: enabled, and not linked to a user who is shut out."""
    return await _read(connection, _query().where(_is_active))


@dataclass(frozen=True, slots=True)
class Telephone:
    """A telephone that may register now. `digest` is its secret: never log it."""

    extension: str
    digest: str
    in_browser: bool


async def telephones(connection: AsyncConnection) -> list[Telephone]:
    """The telephones of active consultants; one in a browser only while its session lives."""
    rows = await connection.execute(
        select(
            consultant.c.extension,
            case(
                (consultant.c.in_browser, browser_telephone.c.digest), else_=consultant.c.digest
            ).label("digest"),
            consultant.c.in_browser,
        )
        .outerjoin(browser_telephone, browser_telephone.c.consultant_id == consultant.c.id)
        .outerjoin(web_session, web_session.c.token_hash == browser_telephone.c.session_hash)
        .where(_is_active, or_(~consultant.c.in_browser, live_session()))
        .order_by(consultant.c.extension)
    )
    return [Telephone(row.extension, row.digest, row.in_browser) for row in rows]


async def issue_browser_secret(
    connection: AsyncConnection, own: Consultant, session_hash: bytes
) -> str | None:
    """The digest of the consultant's telephone in the browser of this session.

    It is made at its first use in a session and ends with it; that of an earlier session ends now.
    None when the session has ended meanwhile.
    """
    made = digest_of(own.extension, new_password())
    row = insert(browser_telephone).from_select(
        ("consultant_id", "session_hash", "digest"),
        select(literal(own.id), web_session.c.token_hash, literal(made)).where(
            web_session.c.token_hash == session_hash
        ),
    )
    await connection.execute(
        row.on_conflict_do_update(
            index_elements=["consultant_id"],
            set_={"session_hash": row.excluded.session_hash, "digest": row.excluded.digest},
            where=browser_telephone.c.session_hash != row.excluded.session_hash,
        )
    )
    issued: str | None = await connection.scalar(
        select(browser_telephone.c.digest).where(
            browser_telephone.c.consultant_id == own.id,
            browser_telephone.c.session_hash == session_hash,
        )
    )
    return issued


async def everyone(connection: AsyncConnection) -> list[Consultant]:
    """All consultants, active or not, by extension."""
    return await _read(connection, _query())


async def find(connection: AsyncConnection, extension: str) -> Consultant:
    """A consultant, active or not. Raises InvalidRequest for an unknown extension."""
    found = await _read(connection, _query().where(consultant.c.extension == extension))
    if not found:
        raise UnknownConsultant(extension)
    return found[0]


async def users(connection: AsyncConnection) -> dict[str, str]:
    """The names of users who are consultants, by extension."""
    rows = await connection.execute(
        select(consultant.c.extension, web_user.c.name).join(
            web_user, web_user.c.consultant_id == consultant.c.id
        )
    )
    return {row.extension: row.name for row in rows}


async def id_of(connection: AsyncConnection, extension: str) -> UUID:
    """The id of a consultant, active or not. Raises InvalidRequest for an unknown extension."""
    found = await connection.execute(
        select(consultant.c.id).where(consultant.c.extension == extension)
    )
    consultant_id: UUID | None = found.scalar_one_or_none()
    if consultant_id is None:
        raise UnknownConsultant(extension)
    return consultant_id


@dataclass(frozen=True, slots=True)
class Person:
    """The user who is a consultant."""

    name: str
    role: Role
    extension: str


async def find_person(connection: AsyncConnection, consultant_id: UUID) -> Person | None:
    """The user who is this consultant; None: nobody is, or the person is shut out."""
    row = (
        await connection.execute(
            select(web_user.c.name, web_user.c.role, consultant.c.extension)
            .join(web_user, web_user.c.consultant_id == consultant.c.id)
            .where(consultant.c.id == consultant_id, consultant.c.active)
            .where(web_user.c.active, web_user.c.entitled)
        )
    ).one_or_none()
    return None if row is None else Person(row.name, Role(row.role), row.extension)


async def extension_of_user(connection: AsyncConnection, user_id: UUID) -> str | None:
    """The extension of the consultant that a user is linked with, or None."""
    found = await connection.execute(
        select(consultant.c.extension)
        .join(web_user, web_user.c.consultant_id == consultant.c.id)
        .where(web_user.c.id == user_id)
    )
    extension: str | None = found.scalar_one_or_none()
    return extension


async def add(
    connection: AsyncConnection,
    *,
    extension: str,
    name: str,
    languages: Sequence[str],
    digest: str,
) -> Consultant:
    """Add an active consultant; `digest` as made by consultants.accounts.digest_of.

    Raises InvalidRequest when the extension is taken or a value is not allowed.
    """
    new = Consultant(
        uuid4(),
        check_extension(extension),
        check_name(name),
        check_languages(languages),
        digest,
        active=True,
    )
    result = await connection.execute(
        insert(consultant)
        .on_conflict_do_nothing(index_elements=["extension"])
        .returning(consultant.c.id),
        {
            "id": new.id,
            "extension": new.extension,
            "name": new.name,
            "languages": list(new.languages),
            "digest": new.digest,
            "active": new.active,
        },
    )
    if result.scalar_one_or_none() is None:
        raise InvalidRequest(f"extension {extension} is taken: choose another")
    return new


async def set_name(connection: AsyncConnection, extension: str, name: str) -> None:
    """Set the name that others see. Raises InvalidRequest for none, or an unknown extension."""
    await _change(connection, extension, name=check_name(name))


async def set_active(connection: AsyncConnection, extension: str, active: bool) -> None:
    """Activate or deactivate a consultant. Raises InvalidRequest for an unknown extension."""
    await _change(connection, extension, active=active)


async def set_digest(connection: AsyncConnection, extension: str, digest: str) -> None:
    """Set the digest of a new password. Raises InvalidRequest for an unknown extension."""
    await _change(connection, extension, digest=digest)


async def change_secret(connection: AsyncConnection, extension: str) -> None:
    """Give the softphone a secret that nobody has.

    The password that its user knows is worth nothing any more. Raises InvalidRequest for an unknown
    extension.
    """
    await set_digest(connection, extension, digest_of(extension, new_password()))


async def set_languages(
    connection: AsyncConnection, extension: str, languages: Sequence[str]
) -> None:
    """Set a consultant's languages. Raises InvalidRequest for unknown ones."""
    await _change(connection, extension, languages=list(check_languages(languages)))


async def set_skills(
    connection: AsyncConnection, extension: str, skills: Mapping[str, int]
) -> None:
    """Replace a consultant's skills. Raises InvalidRequest for an unknown value.

    Skills that are not in use any more are left as they are.
    """
    consultant_id = await id_of(connection, extension)
    used = select(skill.c.code).where(skill.c.active)
    await connection.execute(
        delete(consultant_skill).where(
            consultant_skill.c.consultant_id == consultant_id, consultant_skill.c.skill.in_(used)
        )
    )
    codes = set((await connection.execute(used)).scalars())
    if unknown := sorted(set(skills) - codes):
        raise InvalidRequest(
            f"no such skill: {', '.join(unknown)}; there are {', '.join(sorted(codes))}"
        )
    rows = [
        {"consultant_id": consultant_id, "skill": code, "level": check_level(level)}
        for code, level in skills.items()
    ]
    if rows:
        await connection.execute(insert(consultant_skill), rows)


async def set_team(connection: AsyncConnection, extension: str, team: str | None) -> None:
    """Set the team of a consultant, or of a supervisor with this telephone; None: no team.

    Raises InvalidRequest for an unknown extension.
    """
    await _change(connection, extension, team=team)


async def set_in_browser(connection: AsyncConnection, extension: str, in_browser: bool) -> None:
    """Set whether the telephone is the workspace page, not a softphone.

    Raises InvalidRequest for an unknown extension. Asterisk has to be provisioned afterwards
    (`callcenter.bootstrap.softphone_provisioning`).
    """
    await _change(connection, extension, in_browser=in_browser)


async def _change(
    connection: AsyncConnection, extension: str, **values: bool | str | list[str] | None
) -> None:
    result = await connection.execute(
        update(consultant).where(consultant.c.extension == extension).values(values)
    )
    if result.rowcount == 0:
        raise UnknownConsultant(extension)
