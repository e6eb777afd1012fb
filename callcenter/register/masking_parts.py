"""What tells of people in an appeal beside the content of its record: counted, and erased.

One list serves both, so that what a preview counts is what goes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    TableClause,
    column,
    delete,
    func,
    select,
    table,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.tables import appeal, outgoing_call
from callcenter.register.masking import Goes
from callcenter.register.tables import (
    record,
    record_attachment,
    record_draft,
    record_identifier,
    record_letter,
    record_letter_change,
    record_move,
    record_reminder,
)

Ids = Select[tuple[UUID]]  #: of appeals

# A room above this one; of it we need only what is said here.
_promise = table("promise", *map(column, ("appeal_id", "state", "number")))


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that tell of people: those of an appeal, which of them still do, and what is left."""

    table: TableClause
    of: Callable[[Ids], ColumnElement[bool]]
    tells: ColumnElement[bool]
    left: Mapping[str, Any] | None = None  #: nothing: the row goes


def _of(key: ColumnElement[UUID]) -> Callable[[Ids], ColumnElement[bool]]:
    return key.in_


def _of_letters(appeals: Ids) -> ColumnElement[bool]:
    letters = select(record_letter.c.id).where(record_letter.c.appeal_id.in_(appeals))
    return record_letter_change.c.letter_id.in_(letters)


def _whole(kept: TableClause) -> Part:
    """Each row of it is personal."""
    key = kept.c.appeal_id
    return Part(kept, _of(key), key.is_not(None))


def _emptied(kept: TableClause, name: str, *, left: str | None) -> Part:
    """This column of it is personal."""
    tells = kept.c[name].is_not(None) if left is None else kept.c[name] != left
    return Part(kept, _of(kept.c.appeal_id), tells, {name: left})


PARTS: Mapping[Goes, Part] = {
    Goes.CALLER: Part(
        appeal,
        _of(appeal.c.id),
        appeal.c.caller_number.is_not(None),
        {"caller_kind": "withheld", "caller_number": None},
    ),
    Goes.CALLED: _emptied(outgoing_call, "number", left=""),
    # Where somebody is still to be called, the promise keeps the number.
    Goes.PROMISED: Part(
        _promise,
        _of(_promise.c.appeal_id),
        (_promise.c.number != "") & (_promise.c.state != "open"),
        {"number": ""},
    ),
    Goes.DRAFTS: _whole(record_draft),
    # Their bytes are removed by the worker.
    Goes.FILES: Part(
        record_attachment,
        _of(record_attachment.c.appeal_id),
        record_attachment.c.state != "erased",
        {"state": "erased", "sealed_name": None, "why": None},
    ),
    Goes.LETTERS: _emptied(record_letter, "sealed", left=None),
    Goes.LETTER_CHANGES: Part(
        record_letter_change,
        _of_letters,
        record_letter_change.c.sealed.is_not(None),
        {"sealed": None},
    ),
    Goes.REMINDERS: _whole(record_reminder),
    Goes.IDENTIFIERS: _whole(record_identifier),
    Goes.REASONS: _emptied(record_move, "reason", left=""),
    Goes.CODES: _emptied(record, "receipt_code", left=None),
}


def counts(appeals: Ids) -> list[ScalarSelect[int]]:
    """How many rows of each part, in their order, would go of these appeals: for one statement."""
    return [
        select(func.count())
        .select_from(part.table)
        .where(part.of(appeals), part.tells)
        .scalar_subquery()
        for part in PARTS.values()
    ]


async def erase(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Let all of them go, of this appeal."""
    this = select(appeal.c.id).where(appeal.c.id == appeal_id)
    for part in PARTS.values():
        rows = part.of(this), part.tells
        gone = (
            delete(part.table).where(*rows)
            if part.left is None
            else update(part.table).where(*rows).values(part.left)
        )
        await connection.execute(gone)
