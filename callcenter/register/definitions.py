"""Fields of the form and terms of the law in PostgreSQL: the center edits both, versions stay."""

from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.register.fields import (
    WITHIN,
    Field,
    Form,
    Guard,
    Option,
    Section,
    Type,
    check_field,
    is_within,
)
from callcenter.register.tables import law_term, record_field
from callcenter.register.terms import Clock, Law, Term, Unit
from callcenter.workdays.calendar import state_calendar


async def form(connection: AsyncConnection) -> Form:
    """The fields in force, those that are not used any more too."""
    newest = (
        select(record_field)
        .ext(distinct_on(record_field.c.section, record_field.c.code))
        .order_by(record_field.c.section, record_field.c.code, record_field.c.version.desc())
    )
    return Form([_field(row) for row in (await connection.execute(newest)).mappings()])


async def put_field(connection: AsyncConnection, field: Field, author: str) -> int:
    """Keep a field as its next version, which is returned.

    Raises AskedWrongly: see `check_field`; a field that exists keeps its type, a built-in one its
    guard and its use as well, and answers that were given are not taken away but made inactive.
    """
    check_field(field)
    now = await form(connection)
    known = {(each.section, each.code): each for each in now.fields}
    old = known.get((field.section, field.code))
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
        raise AskedWrongly("somebody else has changed this field: look at it again")
    return version


def _check_change(old: Field, new: Field) -> None:
    if new.type is not old.type:
        raise AskedWrongly("a field keeps its type: make another field")
    if old.built_in and (new.guard is not old.guard or not new.active):
        raise AskedWrongly("this field is built in: only its names and answers can be changed")
    if {each.code for each in old.options} - {each.code for each in new.options}:
        raise AskedWrongly("an answer that was given stays: make it inactive instead")


def _check_within(now: Form, field: Field) -> None:
    whole = now.field(WITHIN[field.code])
    if not {option.parent for option in field.options} <= {
        option.code for option in (whole.options if whole else ())
    }:
        raise AskedWrongly(f"each answer is a part of one of the field {WITHIN[field.code]}")


async def law(connection: AsyncConnection) -> Law:
    """The terms of the law with their dates of validity, and the state's calendar."""
    rows = await connection.execute(select(law_term).order_by(law_term.c.valid_from.desc()))
    terms = [
        Term(
            Clock(row.clock), row.length, Unit(row.unit), row.article, row.valid_from, row.valid_to
        )
        for row in rows
    ]
    return Law(terms, state_calendar())


async def put_term(connection: AsyncConnection, term: Term) -> None:
    """A term from a day on; the newest that holds on a day counts. Raises AskedWrongly."""
    if term.length < 1 or not term.article.strip():
        raise AskedWrongly("a term has a length of 1 or more, and the article that sets it")
    made = await connection.execute(
        upsert(law_term)
        .values({key: getattr(value, "value", value) for key, value in asdict(term).items()})
        .on_conflict_do_nothing()
        .returning(law_term.c.clock)
    )
    if made.scalar_one_or_none() is None:
        raise AskedWrongly("there is a term from this day on already: choose another day")


def _field(row: RowMapping) -> Field:
    # Districts were text before they were a list, and are stored as such until the center changes
    # the list, since a process of the version before knows what was typed as text alone.
    asked = Type.CHOICE if row["options"] and row["type"] == Type.TEXT else Type(row["type"])
    return Field(
        code=row["code"],
        section=Section(row["section"]),
        type=asked,
        guard=Guard(row["guard"]),
        kk=row["kk"],
        ru=row["ru"],
        en=row["en"],
        position=row["position"],
        options=tuple(Option(**each) for each in row["options"]),
        active=row["active"],
        built_in=row["built_in"],
        version=row["version"],
    )
