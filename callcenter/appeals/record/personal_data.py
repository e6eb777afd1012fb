"""Personal data of an appeal beside the content of its record: counted, and erased.

One list serves both, so that what a preview counts is what is erased. Every room offers its parts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    ScalarSelect,
    Select,
    Table,
    Update,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal, call_unwanted, outgoing_call
from callcenter.appeals.contact.store import IS_IN_FORCE
from callcenter.appeals.contact.tables import contact_wish
from callcenter.appeals.tables import (
    follow_up_call,
    masking,
    oral_contact,
    psychological_note,
    psychological_talk,
    record,
    record_attachment,
    record_change,
    record_draft,
    record_identifier,
    record_letter,
    record_letter_change,
    record_move,
    record_reminder,
    record_search,
    saved_view,
    search_word,
    status_attempt,
)
from callcenter.platform.core.errors import N_
from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import offers

Ids = Select[tuple[UUID]]  #: of appeals

MASKED = "by the masking rule of the appeal's kind, or a masking of this appeal"
MASKING = Erasure(MASKED, "callcenter.appeals.masking.store:mask")

#: Key of the changes of a record, which are counted of one appeal alone.
CHANGES = "changes"
CHANGES_LABEL = N_("Changes in the history: %(count)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDataPart(PersonalData):
    """Extension point: rows of appeals that are or hold personal data, which masking erases.

    `key` names the part in previews, and `label` on pages. `of` selects the rows of some appeals,
    `is_personal` those that hold personal data still. All parts are erased in one statement: no two
    have a row in common.
    """

    ends: Erasure | Permanent = MASKING
    key: str
    label: str
    of: Callable[[Ids], ColumnElement[bool]]
    is_personal: ColumnElement[bool]
    erased: Mapping[str, Any] | None = None  #: values after erasure; None: the row is deleted


def _of(key: ColumnElement[UUID]) -> Callable[[Ids], ColumnElement[bool]]:
    return key.in_


def _of_letters(appeals: Ids) -> ColumnElement[bool]:
    letters = select(record_letter.c.id).where(record_letter.c.appeal_id.in_(appeals))
    return record_letter_change.c.letter_id.in_(letters)


def _rows(key: str, label: str, table: Table, *columns: str) -> PersonalDataPart:
    """Every row of the table is personal, and deleted; in these columns it says something."""
    column = table.c.appeal_id
    return PersonalDataPart(
        table, columns, key=key, label=label, of=_of(column), is_personal=column.is_not(None)
    )


def _values(
    key: str, label: str, table: Table, name: str, *, erased: str | None
) -> PersonalDataPart:
    """One column of the table is personal."""
    column = table.c[name]
    return PersonalDataPart(
        table,
        (name,),
        key=key,
        label=label,
        of=_of(table.c.appeal_id),
        is_personal=column.is_not(None) if erased is None else column != erased,
        erased={name: erased},
    )


#: What the room of appeals itself offers.
APPEAL_PARTS = (
    PersonalDataPart(
        appeal,
        ("caller_number",),
        key="caller",
        label=N_("Numbers of callers: %(count)s"),
        of=_of(appeal.c.id),
        is_personal=appeal.c.caller_number.is_not(None),
        erased={"caller_kind": "withheld", "caller_number": None},
    ),
    _values("called", N_("Numbers that we called: %(count)s"), outgoing_call, "number", erased=""),
    _rows("drafts", N_("Drafts: %(count)s"), record_draft, "sealed"),
    # Their bytes are removed by the worker.
    PersonalDataPart(
        record_attachment,
        ("sealed_name", "why"),
        key="files",
        label=N_("Files: %(count)s"),
        of=_of(record_attachment.c.appeal_id),
        is_personal=record_attachment.c.state != "erased",
        erased={"state": "erased", "sealed_name": None, "why": None},
    ),
    _values("letters", N_("Letters and requests: %(count)s"), record_letter, "sealed", erased=None),
    PersonalDataPart(
        record_letter_change,
        ("sealed",),
        key="letter_changes",
        label=N_("Changes of letters: %(count)s"),
        of=_of_letters,
        is_personal=record_letter_change.c.sealed.is_not(None),
        erased={"sealed": None},
    ),
    _values("oral", N_("Oral contacts: %(count)s"), oral_contact, "sealed", erased=None),
    _values(
        "psychology",
        N_("Notes of psychologists: %(count)s"),
        psychological_note,
        "sealed",
        erased=None,
    ),
    _rows("talks", N_("Booked talks: %(count)s"), psychological_talk, "user_name"),
    # That there was one is a figure. Nobody is called any more.
    PersonalDataPart(
        follow_up_call,
        ("user_name",),
        key="follow_ups",
        label=N_("Follow-up calls: %(count)s"),
        of=_of(follow_up_call.c.appeal_id),
        is_personal=follow_up_call.c.user_name != "",
        erased={
            "user_name": "",
            "booked_by": "",
            "result": func.coalesce(follow_up_call.c.result, "not_reached"),
            "ended_at": func.coalesce(follow_up_call.c.ended_at, func.now()),
            "ended_by": "",
        },
    ),
    _rows("reminders", N_("Reminders: %(count)s"), record_reminder, "user_name", "sealed"),
    # Keyed hashes.
    _rows(
        "identifiers",
        N_("IIN and BIN to be found by: %(count)s"),
        record_identifier,
        "person",
        "hash",
    ),
    _values("reasons", N_("Reasons of steps: %(count)s"), record_move, "reason", erased=""),
    _values("codes", N_("Codes of receipts: %(count)s"), record, "receipt_code", erased=None),
    PersonalDataPart(
        contact_wish,
        ("person",),
        key="wishes",
        label=N_("Words about safe contact: %(count)s"),
        of=_of(contact_wish.c.appeal_id),
        is_personal=~IS_IN_FORCE,
    ),
    # A number that was closed stays closed, and is no more this appeal's.
    PersonalDataPart(
        contact_wish,
        ("author",),
        key="closed_numbers",
        label=N_("Closed numbers that stay closed, of no appeal: %(count)s"),
        of=_of(contact_wish.c.appeal_id),
        is_personal=IS_IN_FORCE,
        erased={"appeal_id": None, "person": "", "author": ""},
    ),
)


#: What the room of appeals has beside the parts.
APPEAL_DATA = (
    # Masking keeps of these what is only counted, field by field.
    PersonalData(record, ("content", "sealed"), MASKING),
    PersonalData(record_change, ("differences", "sealed"), MASKING),
    PersonalData(record_search, ("terms",), MASKING),
    PersonalData(
        search_word,
        ("word", "grams"),
        Erasure(
            "when the last appeal that has the word is masked or changed",
            "callcenter.appeals.record.search_index:delete_words",
        ),
    ),
    PersonalData(
        masking,
        ("reason", "decision"),
        Permanent("the proof of why data are gone"),
    ),
    PersonalData(
        saved_view,
        ("user_name", "name", "sealed"),
        Erasure(
            "when its user deletes the search", "callcenter.appeals.search.saved_searches:delete"
        ),
    ),
    PersonalData(
        call_unwanted,
        ("number",),
        # By a trigger of `contact_wish`.
        Erasure("when the caller wants calls again", "callcenter.appeals.contact.store:add"),
    ),
    PersonalData(
        contact_wish,
        ("number",),
        Erasure(
            f"{MASKED}; one that closes a number: when who is at it may be reached again",
            "callcenter.appeals.contact.store:add",
        ),
    ),
    PersonalData(
        status_attempt,
        ("key",),
        Erasure(
            "a day after the first attempt (ATTEMPT_INTERVAL)",
            "callcenter.appeals.status.lookup:delete_expired",
        ),
    ),
)


def parts() -> tuple[PersonalDataPart, ...]:
    """Return the parts that all rooms offer."""
    return offers(PersonalDataPart)


def counts(appeals: Ids) -> list[ScalarSelect[int]]:
    """Return for each part how many rows would be erased of these appeals, for one statement."""
    return [
        select(func.count())
        .select_from(part.table)
        .where(part.of(appeals), part.is_personal)
        .scalar_subquery()
        for part in parts()
    ]


async def erase(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Erase all parts of this appeal."""
    this = select(appeal.c.id).where(appeal.c.id == appeal_id)
    erasures = [_erasure(part, this).cte(f"erased_{part.key}") for part in parts()]
    await connection.execute(select(literal(1)).add_cte(*erasures))


def _erasure(part: PersonalDataPart, appeals: Ids) -> Delete | Update:
    rows = part.of(appeals), part.is_personal
    if part.erased is None:
        return delete(part.table).where(*rows)
    return update(part.table).where(*rows).values(part.erased)
