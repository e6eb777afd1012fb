"""Many people at once: a table as a spreadsheet saves or copies it, a person a line.

All are added or nobody is: what one line has wrong is said for each, and nothing is written.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from io import StringIO

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants.rules.skills import read_skills
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import people
from callcenter.users.people import ConsultantDetails, PersonDetails

#: The first line names them, in any order; only the first four are needed.
COLUMNS = (
    *("name", "role", "full_name", "position"),
    *("extension", "languages", "skills", "team", "telephone"),
)
NEEDED = frozenset(COLUMNS[:4])
LONGEST_TABLE = 500  # lines


class TableFault(StrEnum):
    """The reason that a table, or a line of it, cannot be read."""

    EMPTY = "empty"  #: no line after the first one
    COLUMNS = "columns"  #: the first line has others, or lacks one that is needed
    LONG = "long"  #: more lines than one table takes
    QUOTES = "quotes"  #: quotes that do not end
    ROLE = "role"
    LANGUAGES = "languages"
    SKILLS = "skills"
    TELEPHONE = "telephone"


class UnreadableTable(InvalidRequest):
    """The table as a whole cannot be read."""

    def __init__(self, fault: TableFault) -> None:
        super().__init__(f"the table cannot be read: {fault.value}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class PersonLine:
    """A line of the table: the person to add, or the reason that it cannot be read."""

    number: int  #: as a spreadsheet counts
    name: str
    person: PersonDetails | TableFault


@dataclass(frozen=True, slots=True)
class AddedLine:
    """A person who was, or would be, added: what is to be shown once."""

    number: int
    name: str
    token: str
    until: datetime
    softphone_password: str | None


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line for which nobody can be added, and why."""

    number: int
    name: str
    why: TableFault | InvalidRequest


def read_table(text: str) -> list[PersonLine]:
    """Parse a table: a line of column names, then people; tabs, semicolons or commas.

    Raises UnreadableTable. Empty lines are skipped.
    """
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    separator = max("\t;,", key=first.count)
    try:
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as exc:
        raise UnreadableTable(TableFault.QUOTES) from exc
    columns = [each.strip().lower() for each in rows[0]] if rows else []
    if not NEEDED <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
        raise UnreadableTable(TableFault.COLUMNS)
    lines = [
        _read_line(number, dict(zip(columns, (each.strip() for each in row), strict=False)))
        for number, row in enumerate(rows[1:], start=2)
        if any(each.strip() for each in row)
    ]
    if not lines:
        raise UnreadableTable(TableFault.EMPTY)
    if len(lines) > LONGEST_TABLE:
        raise UnreadableTable(TableFault.LONG)
    return lines


async def preview(
    engine: AsyncEngine, actor: Actor, lines: Sequence[PersonLine], called: Iterable[str]
) -> list[AddedLine | RefusedLine]:
    """Try to add everybody, and take it all back: the outcome of each line."""
    return await _add(engine, actor, lines, tuple(called), is_committed=False)


async def add_all(
    engine: AsyncEngine, actor: Actor, lines: Sequence[PersonLine], called: Iterable[str]
) -> list[AddedLine | RefusedLine]:
    """Add everybody, or nobody when one line is refused; `called` as of `people.add`."""
    return await _add(engine, actor, lines, tuple(called), is_committed=True)


class _TakenBack(Exception):
    """The transaction is undone."""


async def _add(
    engine: AsyncEngine,
    actor: Actor,
    lines: Sequence[PersonLine],
    called: Sequence[str],
    *,
    is_committed: bool,
) -> list[AddedLine | RefusedLine]:
    outcomes: list[AddedLine | RefusedLine] = []
    try:
        async with unit_of_work(engine) as connection:
            outcomes += [await _add_line(connection, actor, line, called) for line in lines]
            if not is_committed or any(isinstance(each, RefusedLine) for each in outcomes):
                raise _TakenBack
    except _TakenBack:
        pass
    return outcomes


async def _add_line(
    connection: AsyncConnection, actor: Actor, line: PersonLine, called: Sequence[str]
) -> AddedLine | RefusedLine:
    if isinstance(line.person, TableFault):
        return RefusedLine(line.number, line.name, line.person)
    try:
        async with connection.begin_nested():
            token, until, password = await people.add(
                connection, actor, line.name, line.person, called
            )
    except InvalidRequest as refusal:
        return RefusedLine(line.number, line.name, refusal)
    return AddedLine(line.number, line.name, token, until, password)


def _read_line(number: int, cells: Mapping[str, str]) -> PersonLine:
    return PersonLine(number, cells["name"].lower() if "name" in cells else "", _person(cells))


def _person(cells: Mapping[str, str]) -> PersonDetails | TableFault:
    role = cells.get("role", "")
    if role not in {each.value for each in Role}:
        return TableFault.ROLE
    consultant: ConsultantDetails | None = None
    if extension := cells.get("extension", ""):
        spoken = cells.get("languages", "").lower().replace(",", " ").split()
        if not set(spoken) <= set(CALLER_LANGUAGES):
            return TableFault.LANGUAGES
        try:
            skills = read_skills(cells.get("skills", ""))
        except InvalidRequest:
            return TableFault.SKILLS
        telephone = cells.get("telephone", "") or "browser"
        if telephone not in ("browser", "softphone"):
            return TableFault.TELEPHONE
        consultant = ConsultantDetails(
            extension=extension,
            languages=tuple(each for each in CALLER_LANGUAGES if each in spoken),
            skills=skills,
            team=cells.get("team", ""),
            in_browser=telephone == "browser",
        )
    return PersonDetails(
        Role(role), cells.get("full_name", ""), cells.get("position", ""), consultant
    )
