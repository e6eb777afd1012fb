"""Consultants in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.accounts import check_extension, check_languages, check_name
from callcenter.consultants.skills import check_level
from callcenter.consultants.tables import consultant, consultant_skill, skill
from callcenter.errors import AskedWrongly
from callcenter.web.tables import web_user


class UnknownConsultant(AskedWrongly):
    """No consultant has this extension."""

    def __init__(self, extension: str) -> None:
        super().__init__(f"no consultant has the extension {extension}")


@dataclass(frozen=True, slots=True)
class Consultant:
    """Who may be offered a call. `digest` is the secret of the softphone: never log it."""

    id: UUID
    extension: str
    name: str
    languages: tuple[str, ...]
    digest: str
    active: bool
    skills: Mapping[str, int] = field(default_factory=dict)  #: levels, by the code of the skill
    team: str | None = None
    in_browser: bool = False  #: the telephone is the page of work, not a softphone


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
        consultant.c.active,
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
    """Those who may sign in with a softphone, by extension."""
    return await _read(connection, _query().where(consultant.c.active))


async def everyone(connection: AsyncConnection) -> list[Consultant]:
    """Active or not, by extension."""
    return await _read(connection, _query())


async def find(connection: AsyncConnection, extension: str) -> Consultant:
    """A consultant, active or not. Raises AskedWrongly for an unknown extension."""
    found = await _read(connection, _query().where(consultant.c.extension == extension))
    if not found:
        raise UnknownConsultant(extension)
    return found[0]


async def users(connection: AsyncConnection) -> dict[str, str]:
    """The names of those who sign in to the pages, by the extension of the consultant they are."""
    rows = await connection.execute(
        select(consultant.c.extension, web_user.c.name).join(
            web_user, web_user.c.consultant_id == consultant.c.id
        )
    )
    return {row.extension: row.name for row in rows}


async def id_of(connection: AsyncConnection, extension: str) -> UUID:
    """The id of a consultant, active or not. Raises AskedWrongly for an unknown extension."""
    found = await connection.execute(
        select(consultant.c.id).where(consultant.c.extension == extension)
    )
    consultant_id: UUID | None = found.scalar_one_or_none()
    if consultant_id is None:
        raise UnknownConsultant(extension)
    return consultant_id


async def extension_of_user(connection: AsyncConnection, user_id: UUID) -> str | None:
    """The extension of the consultant that a person who signs in to the pages is; or None."""
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

    Raises AskedWrongly when the extension is taken or a value is not allowed.
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
        raise AskedWrongly(f"extension {extension} is taken: choose another")
    return new


async def set_active(connection: AsyncConnection, extension: str, active: bool) -> None:
    """Let a consultant take calls, or no longer. Raises AskedWrongly for an unknown extension."""
    await _change(connection, extension, active=active)


async def set_digest(connection: AsyncConnection, extension: str, digest: str) -> None:
    """Give a consultant another password. Raises AskedWrongly for an unknown extension."""
    await _change(connection, extension, digest=digest)


async def set_languages(
    connection: AsyncConnection, extension: str, languages: Sequence[str]
) -> None:
    """Say which languages a consultant speaks. Raises AskedWrongly for unknown ones."""
    await _change(connection, extension, languages=list(check_languages(languages)))


async def set_skills(
    connection: AsyncConnection, extension: str, skills: Mapping[str, int]
) -> None:
    """Say what a consultant can do, and nothing else from now on.

    Raises AskedWrongly for an unknown extension, skill or level. Skills that the center does not
    use any more are left as they are.
    """
    consultant_id = await id_of(connection, extension)
    used = select(skill.c.code).where(skill.c.active)
    await connection.execute(
        delete(consultant_skill).where(
            consultant_skill.c.consultant_id == consultant_id, consultant_skill.c.skill.in_(used)
        )
    )
    known = set((await connection.execute(used)).scalars())
    if unknown := sorted(set(skills) - known):
        raise AskedWrongly(
            f"no such skill: {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    rows = [
        {"consultant_id": consultant_id, "skill": code, "level": check_level(level)}
        for code, level in skills.items()
    ]
    if rows:
        await connection.execute(insert(consultant_skill), rows)


async def set_team(connection: AsyncConnection, extension: str, team: str | None) -> None:
    """Put a consultant, or a supervisor with this telephone, into a team; None: into no team.

    Raises AskedWrongly for an unknown extension.
    """
    await _change(connection, extension, team=team)


async def set_in_browser(connection: AsyncConnection, extension: str, in_browser: bool) -> None:
    """Say whether the telephone is the page of work. Raises AskedWrongly for an unknown extension.

    Asterisk has to be told (`callcenter.softphones`).
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
