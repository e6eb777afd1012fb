"""Store of the form's fields and of the law's terms, with all their versions."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Row, RowMapping, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.rules.deadlines import DeadlineKind, DeadlineRules, LegalTerm, TermUnit
from callcenter.appeals.rules.fields import (
    WITHIN,
    AccessRule,
    Field,
    FieldType,
    Form,
    Option,
    Section,
    check_field,
    is_within,
)
from callcenter.appeals.tables import law_term, record_field
from callcenter.platform.core.errors import InvalidRequest
from callcenter.working_calendar.store import read_calendar

#: How the rows of the form stand: a change makes a newer transaction, or another count.
_STATE = text("SELECT count(*), max(xmin::text::bigint) FROM record_field")
#: The form as it was read last, and how its rows stood; it has hundreds of answers.
_last: WeakKeyDictionary[Engine, tuple[Row[Any], Form]] = WeakKeyDictionary()


async def read_form(connection: AsyncConnection) -> Form:
    """The form in force, with fields that are not active any more; read anew when it changed."""
    state = (await connection.execute(_STATE)).one()
    engine = connection.sync_engine
    if engine not in _last or _last[engine][0] != state:
        _last[engine] = state, await _read_form(connection)
    return _last[engine][1]


async def _read_form(connection: AsyncConnection) -> Form:
    newest = (
        select(record_field)
        .ext(distinct_on(record_field.c.section, record_field.c.code))
        .order_by(record_field.c.section, record_field.c.code, record_field.c.version.desc())
    )
    return Form([_field(row) for row in (await connection.execute(newest)).mappings()])


async def put_field(connection: AsyncConnection, field: Field, author: str) -> int:
    """Store a field as its next version, which is returned.

    Raises InvalidRequest: see `check_field`; a field that exists keeps its type, a built-in one its
    guard and its use as well, and answers that were given are not taken away but made inactive.
    """
    check_field(field)
    now = await read_form(connection)
    existing = {(each.section, each.code): each for each in now.fields}
    old = existing.get((field.section, field.code))
    if old is not None:
        _check_change(old, field)
    if is_within(field):
        _check_within(now, field)
    version = 1 if old is None else old.version + 1
    values = asdict(field) | {
        "options": [asdict(each) for each in field.options],
        "built_in": old is not None and old.built_in,
        "version": version,
        "author": author,
        "at": datetime.now(UTC),
    }
    made = await connection.execute(
        upsert(record_field)
        .values(values)
        .on_conflict_do_nothing()
        .returning(record_field.c.version)
    )
    if made.scalar_one_or_none() is None:
        raise InvalidRequest("somebody else has changed this field: look at it again")
    return version


def _check_change(old: Field, new: Field) -> None:
    if new.type is not old.type:
        raise InvalidRequest("a field keeps its type: make another field")
    if old.built_in and (new.guard is not old.guard or not new.active):
        raise InvalidRequest("this field is built in: only its names and answers can be changed")
    if {each.code for each in old.options} - {each.code for each in new.options}:
        raise InvalidRequest("an answer that was given stays: make it inactive instead")


def _check_within(now: Form, field: Field) -> None:
    whole = now.field(WITHIN[field.code])
    if not {option.parent for option in field.options} <= {
        option.code for option in (whole.options if whole else ())
    }:
        raise InvalidRequest(f"each answer is a part of one of the field {WITHIN[field.code]}")


async def read_law(connection: AsyncConnection) -> DeadlineRules:
    """The terms of the law with their dates of validity, and the state's calendar."""
    rows = await connection.execute(select(law_term).order_by(law_term.c.valid_from.desc()))
    terms = [
        LegalTerm(
            DeadlineKind(row.clock),
            row.length,
            TermUnit(row.unit),
            row.article,
            row.valid_from,
            row.valid_to,
        )
        for row in rows
    ]
    return DeadlineRules(terms, await read_calendar(connection))


async def put_term(connection: AsyncConnection, term: LegalTerm) -> None:
    """Insert a term that holds from a day on. Raises InvalidRequest.

    Of several that hold on a day the newest counts.
    """
    if term.length < 1 or not term.article.strip():
        raise InvalidRequest("a term has a length of 1 or more, and the article that sets it")
    made = await connection.execute(
        upsert(law_term)
        .values({key: getattr(value, "value", value) for key, value in asdict(term).items()})
        .on_conflict_do_nothing()
        .returning(law_term.c.clock)
    )
    if made.scalar_one_or_none() is None:
        raise InvalidRequest("there is a term from this day on already: choose another day")


def _field(row: RowMapping) -> Field:
    # Districts were text before they were a list, and are stored as such until the center changes
    # the list, since a process of the version before knows what was typed as text alone.
    field_type = (
        FieldType.CHOICE
        if row["options"] and row["type"] == FieldType.TEXT
        else FieldType(row["type"])
    )
    return Field(
        code=row["code"],
        section=Section(row["section"]),
        type=field_type,
        guard=AccessRule(row["guard"]),
        kk=row["kk"],
        ru=row["ru"],
        en=row["en"],
        position=row["position"],
        options=tuple(Option(**each) for each in row["options"]),
        active=row["active"],
        built_in=row["built_in"],
        version=row["version"],
        proposing=None if row["proposing"] is None else tuple(row["proposing"]),
        verified=row["verified"],
    )
