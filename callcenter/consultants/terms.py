"""The center's own lists in PostgreSQL: skills of consultants and reasons of pauses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Table, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.states import MISSED, PAGE_GONE
from callcenter.consultants.tables import pause_reason, skill
from callcenter.errors import AskedWrongly

LONGEST = 60  # characters of a name
NO_KEY = 0
KEYS = range(1, 10)  #: of reasons of pauses

_CODE = re.compile(r"[a-z][a-z_]{1,39}")


class Kind(StrEnum):
    """The lists that a center keeps."""

    SKILL = "skill"
    PAUSE_REASON = "pause_reason"


_TABLES: Mapping[Kind, Table] = {Kind.SKILL: skill, Kind.PAUSE_REASON: pause_reason}
#: What the desk gives by itself, and nobody else may.
_OF_THE_DESK = {Kind.SKILL: frozenset[str](), Kind.PAUSE_REASON: frozenset({MISSED, PAGE_GONE})}


@dataclass(frozen=True, slots=True)
class Term:
    """One entry: its code for machines, its names for people. Never deleted, for history has it.

    A reason of a pause may have a key, 1 to 9, that is dialled after *12; when it is put, NO_KEY
    takes its key away, and None leaves it as it is.
    """

    code: str
    name_kk: str
    name_ru: str
    active: bool = True
    key: int | None = None


def checked(kind: Kind, term: Term) -> Term:
    """The term without spaces around its names, if it can be kept; else AskedWrongly."""
    if not _CODE.fullmatch(term.code) or term.code in _OF_THE_DESK[kind]:
        raise AskedWrongly(
            "a code has 2 to 40 small Latin letters and underlines, begins with a letter,"
            " and is none that the desk gives by itself"
        )
    names = [name.strip() for name in (term.name_kk, term.name_ru)]
    if not all(name.isprintable() and 1 <= len(name) <= LONGEST for name in names):
        raise AskedWrongly(f"a name in Kazakh and in Russian has 1 to {LONGEST} characters")
    if term.key is not None and (kind is not Kind.PAUSE_REASON or term.key not in (NO_KEY, *KEYS)):
        raise AskedWrongly("reasons of pauses have keys, 1 to 9, and nothing else has")
    return Term(term.code, names[0], names[1], term.active, term.key)


async def terms(connection: AsyncConnection, kind: Kind) -> list[Term]:
    """All of a list, those that are not used any more too, by code."""
    table = _TABLES[kind]
    key = table.c.key if kind is Kind.PAUSE_REASON else null()
    rows = await connection.execute(
        select(table.c.code, table.c.name_kk, table.c.name_ru, table.c.active, key).order_by(
            table.c.code
        )
    )
    return [Term(*row) for row in rows]


async def put(connection: AsyncConnection, kind: Kind, term: Term) -> None:
    """Add a term, or change the one of this code. Raises AskedWrongly, see `checked`.

    A key is taken from whichever reason has it.
    """
    kept = checked(kind, term)
    values: dict[str, str | bool | int | None] = {
        "name_kk": kept.name_kk,
        "name_ru": kept.name_ru,
        "active": kept.active,
    }
    if kept.key is not None:
        values["key"] = kept.key or None
        await connection.execute(
            update(pause_reason).values(key=None).where(pause_reason.c.key == kept.key)
        )
    await connection.execute(
        insert(_TABLES[kind])
        .values(code=kept.code, **values)
        .on_conflict_do_update(index_elements=["code"], set_=values)
    )


async def reason_of_key(connection: AsyncConnection, key: int) -> str:
    """The code of the reason of a pause that has this key and is in use; else AskedWrongly."""
    code = await connection.scalar(
        select(pause_reason.c.code).where(pause_reason.c.key == key, pause_reason.c.active)
    )
    if code is None:
        raise AskedWrongly(f"no reason of a pause has the key {key}")
    return str(code)
