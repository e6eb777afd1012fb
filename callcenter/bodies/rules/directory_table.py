"""The directory as a table with a row for each contact, and the changes of a file.

A file has whole bodies: a contact that it lacks is removed, a body that it lacks stays.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from callcenter.appeals.rules.fields import Form
from callcenter.bodies.rules.directory import (
    Body,
    BodyContact,
    BodyKind,
    BodyName,
    Directory,
    DirectoryFault,
    WrongBody,
    check_body,
)
from callcenter.bodies.rules.directory_lines import (
    format_contact,
    format_names,
    read_contact,
    read_day,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE

OF_BODY = (
    *("code", "kind", "parent", "region", "district", "directions", "topics"),
    *("name_from", "name_kk", "name_ru", "name_en", "ended_on"),
)
#: Those of a body that a file may leave out: then they stay as they are.
OPTIONAL = ("working_hours",)
OF_CONTACT = ("method", "contact", "languages", "hours", "source")
#: Only shown: nobody vouches for a contact by a file.
SHOWN = ("verified_on", "verified_by")
COLUMNS = (*OF_BODY, *OPTIONAL, *OF_CONTACT, *SHOWN)
NEEDED = frozenset((*OF_BODY, *OF_CONTACT))
LONGEST_DIRECTORY = 5000  # rows

Row = Sequence[str]


class FileFault(StrEnum):
    """The reason that a file cannot be read at all."""

    EMPTY = "empty"
    COLUMNS = "columns"  #: the first row does not name them, each once
    LONG = "long"
    FORMAT = "format"  #: neither XLSX nor CSV in UTF-8


class UnreadableFile(InvalidRequest):
    """The file cannot be read."""

    def __init__(self, fault: FileFault) -> None:
        super().__init__(f"the file cannot be read: {fault.value}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row of a file that cannot be taken, as a spreadsheet counts, and why."""

    number: int
    code: str
    fault: DirectoryFault


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field before and after; a contact has one of both, and the other is empty."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class BodyChange:
    """A body as a file has it, and what is different in the directory."""

    body: Body
    differences: tuple[FieldDifference, ...]

    @property
    def is_new(self) -> bool:
        return not self.body.version


@dataclass(frozen=True, slots=True)
class DirectoryUpdate:
    """Changes of a file to the directory; none is taken while a row is wrong."""

    changes: tuple[BodyChange, ...]
    wrong: tuple[WrongRow, ...]
    unchanged: int

    @property
    def digest(self) -> str:
        """Equal for equal changes on top of the same versions: what was previewed is done."""
        seen = [(c.body.code, c.body.version, c.differences) for c in self.changes]
        return hashlib.sha256(repr(seen).encode()).hexdigest()


def table_of(bodies: Iterable[Body], today: date) -> Iterator[Row]:
    """Rows of bodies below that of the columns, with the names of today."""
    yield COLUMNS
    for body in bodies:
        name = body.name_on(today)
        cells = (
            *(body.code, body.kind.value, body.parent or "", body.region, body.district),
            *(" ".join(body.directions), " ".join(body.topics)),
            *(name.valid_from.isoformat(), name.kk, name.ru, name.en),
            *(body.ended_on.isoformat() if body.ended_on else "", body.working_hours),
        )
        for contact in body.contacts or (None,):
            yield (*cells, *_contact_cells(contact))


def read_update(rows: Sequence[Row], directory: Directory, form: Form) -> DirectoryUpdate:
    """The changes of a file to the directory. Raises UnreadableFile."""
    found: dict[str, Body] = {}
    wrong: list[WrongRow] = []
    first: dict[str, int] = {}
    for number, cells in _rows(rows):
        code = cells["code"]
        first.setdefault(code, number)
        try:
            body = found.get(code) or _read_body(cells, directory.bodies.get(code))
            contacts = body.contacts
            if cells["method"]:
                parts = (cells[column] for column in OF_CONTACT)
                contacts = (*contacts, read_contact(*parts))
            found[code] = replace(body, contacts=contacts)
        except WrongBody as refusal:
            wrong.append(WrongRow(number, code, refusal.fault))
    after = Directory((directory.bodies | found).values())
    changes = []
    for code, body in found.items():
        try:
            checked = check_body(body, after, form)
        except WrongBody as refusal:
            wrong.append(WrongRow(first[code], code, refusal.fault))
            continue
        if differences := _differences(directory.bodies.get(code), checked):
            changes.append(BodyChange(checked, differences))
    depth = {each.body.code: len(list(after.parents(each.body))) for each in changes}
    changes.sort(key=lambda each: depth[each.body.code])  # parents are stored first
    return DirectoryUpdate(
        tuple(changes),
        tuple(sorted(wrong, key=lambda each: each.number)),
        len(found) - len(changes),
    )


def _rows(rows: Sequence[Row]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows that are not empty: their numbers, and cells by column."""
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    while columns and not columns[-1]:  # as spreadsheets leave them
        columns.pop()
    if not NEEDED <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
        raise UnreadableFile(FileFault.COLUMNS)
    if len(rows) > LONGEST_DIRECTORY:
        raise UnreadableFile(FileFault.LONG)
    filled = [
        (number, {name: cell.strip() for name, cell in zip(columns, row, strict=False)})
        for number, row in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in row)
    ]
    if not filled:
        raise UnreadableFile(FileFault.EMPTY)
    for number, cells in filled:
        yield number, dict.fromkeys(columns, "") | cells


def _read_body(cells: Mapping[str, str], before: Body | None) -> Body:
    """A body from its first row, without contacts; names of other days stay."""
    if cells["kind"] not in {each.value for each in BodyKind}:
        raise WrongBody(DirectoryFault.KIND)
    name = BodyName(
        read_day(cells["name_from"]), cells["name_kk"], cells["name_ru"], cells["name_en"]
    )
    others = before.names if before is not None else ()
    return Body(
        code=cells["code"],
        kind=BodyKind(cells["kind"]),
        names=(*(each for each in others if each.valid_from != name.valid_from), name),
        parent=cells["parent"] or None,
        region=cells["region"],
        district=cells["district"],
        directions=tuple(cells["directions"].split()),
        topics=tuple(cells["topics"].split()),
        working_hours=cells.get("working_hours", before.working_hours if before else ""),
        ended_on=read_day(cells["ended_on"]) if cells["ended_on"] else None,
        version=before.version if before is not None else 0,
    )


def _contact_cells(contact: BodyContact | None) -> Row:
    if contact is None:
        return ("",) * len((*OF_CONTACT, *SHOWN))
    method, value, languages, hours, source = contact.content
    at = contact.verified_at
    return (
        *(method.value, value, " ".join(languages), hours, source),
        *(f"{at.astimezone(ZONE):%Y-%m-%d}" if at else "", contact.verified_by or ""),
    )


def _differences(before: Body | None, after: Body) -> tuple[FieldDifference, ...]:
    old, new = _fields(before), _fields(after)
    changed = [
        FieldDifference(field, old.get(field, ""), value)
        for field, value in new.items()
        if value != old.get(field, "")
    ]
    was, now = (
        [] if body is None else [format_contact(each) for each in body.contacts]
        for body in (before, after)
    )
    changed += [FieldDifference("contact", each, "") for each in was if each not in now]
    changed += [FieldDifference("contact", "", each) for each in now if each not in was]
    if was != now and sorted(was) == sorted(now):  # others are tried first
        changed.append(FieldDifference("contact", "\n".join(was), "\n".join(now)))
    return tuple(changed)


def _fields(body: Body | None) -> dict[str, str]:
    if body is None:
        return {}
    return {
        "kind": body.kind.value,
        "parent": body.parent or "",
        "region": body.region,
        "district": body.district,
        "directions": " ".join(body.directions),
        "topics": " ".join(body.topics),
        "names": format_names(body.names),
        "ended_on": body.ended_on.isoformat() if body.ended_on else "",
        "working_hours": body.working_hours,
    }
