"""The center's reference lists in PostgreSQL: skills of consultants and reasons of pauses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Table, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.rules.states import MISSED, PAGE_GONE
from callcenter.consultants.tables import pause_reason, skill
from callcenter.platform.core.errors import InvalidRequest

LONGEST = 60  # characters of a name
NO_KEY = 0
KEYS = range(1, 10)  #: of reasons of pauses

_CODE = re.compile(r"[a-z][a-z_]{1,39}")


class ListKind(StrEnum):
    """The reference lists of a center."""

    SKILL = "skill"
    PAUSE_REASON = "pause_reason"


_TABLES: Mapping[ListKind, Table] = {ListKind.SKILL: skill, ListKind.PAUSE_REASON: pause_reason}
#: Codes reserved for the ACD.
_RESERVED = {
    ListKind.SKILL: frozenset[str](),
    ListKind.PAUSE_REASON: frozenset({MISSED, PAGE_GONE}),
}


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A list entry: a code, and names in two languages. Never deleted: history refers to it.

    A reason of a pause may have a key, 1 to 9, that is dialled after *12; when it is put, NO_KEY
    takes its key away, and None leaves it as it is.
    """

    code: str
    name_kk: str
    name_ru: str
    active: bool = True
    key: int | None = None


def validate_entry(kind: ListKind, entry: ListEntry) -> ListEntry:
    """The entry without spaces around its names. Raises InvalidRequest when it is not allowed."""
    if not _CODE.fullmatch(entry.code) or entry.code in _RESERVED[kind]:
        raise InvalidRequest(
            "a code has 2 to 40 small Latin letters and underlines, begins with a letter,"
            " and is none that the system reserves"
        )
    names = [name.strip() for name in (entry.name_kk, entry.name_ru)]
    if not all(name.isprintable() and 1 <= len(name) <= LONGEST for name in names):
        raise InvalidRequest(f"a name in Kazakh and in Russian has 1 to {LONGEST} characters")
    if entry.key is not None and (
        kind is not ListKind.PAUSE_REASON or entry.key not in (NO_KEY, *KEYS)
    ):
        raise InvalidRequest("reasons of pauses have keys, 1 to 9, and nothing else has")
    return ListEntry(entry.code, names[0], names[1], entry.active, entry.key)


async def list_entries(connection: AsyncConnection, kind: ListKind) -> list[ListEntry]:
    """All entries of a list, active or not, by code."""
    table = _TABLES[kind]
    key = table.c.key if kind is ListKind.PAUSE_REASON else null()
    rows = await connection.execute(
        select(table.c.code, table.c.name_kk, table.c.name_ru, table.c.active, key).order_by(
            table.c.code
        )
    )
    return [ListEntry(*row) for row in rows]


async def put(connection: AsyncConnection, kind: ListKind, entry: ListEntry) -> None:
    """Add or change the entry of this code. Raises InvalidRequest, see `validate_entry`.

    A key is taken from the reason that has it.
    """
    valid = validate_entry(kind, entry)
    values: dict[str, str | bool | int | None] = {
        "name_kk": valid.name_kk,
        "name_ru": valid.name_ru,
        "active": valid.active,
    }
    if valid.key is not None:
        values["key"] = valid.key or None
        await connection.execute(
            update(pause_reason).values(key=None).where(pause_reason.c.key == valid.key)
        )
    await connection.execute(
        insert(_TABLES[kind])
        .values(code=valid.code, **values)
        .on_conflict_do_update(index_elements=["code"], set_=values)
    )


async def reason_of_key(connection: AsyncConnection, key: int) -> str:
    """The code of the reason of a pause that has this key and is in use; else InvalidRequest."""
    code = await connection.scalar(
        select(pause_reason.c.code).where(pause_reason.c.key == key, pause_reason.c.active)
    )
    if code is None:
        raise InvalidRequest(f"no reason of a pause has the key {key}")
    return str(code)
