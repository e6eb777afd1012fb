"""Every column with personal data has a term, which the room of its table registers."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

import callcenter
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.metadata import metadata

PACKAGE = Path(callcenter.__file__).parent
#: Words in the name of a column that may hold personal data, typed text among them.
_WORDS = re.compile(
    r"(^|_)(number|name|address|phone|email|iin|bin|identity|person|caller|extension|sealed|scan"
    r"|content|call|subject|detail|differences|terms|word|grams|note|reason|decision|signatory|key"
    r"|who|full|position)(_|$)"
)
_COMMENT = re.compile(r"personal|E\.164|encrypted|caller|surname|IIN|ИИН|БИН|address|phone", re.I)
#: Columns that look so and hold none. The name of an account (`user:NAME`, as in author) is
#: registered with web_user.
NOT_PERSONAL = {
    ("answered_request", "answer"),  # nothing personal: see its comment
    ("answered_request", "key_hash"),
    ("body_request", "number"),  # that a body gave it
    ("calendar_year", "off"),  # days of the state
    ("calendar_year", "worked"),
    ("appeal", "number"),  # of the appeal, as are the numbers of demands
    ("appeal", "call_id"),  # of the switch
    ("appeal", "caller_kind"),
    ("appeal_event", "detail"),  # numbers in it are masked
    ("blocked_number", "reason"),  # a code
    ("consultant_state", "reason"),  # a code
    ("demand", "appeal_number"),
    ("demand", "letter_number"),
    ("demand", "number"),
    ("ledger_call", "call_id"),
    ("machine", "name"),  # a program
    ("outgoing_call", "call_id"),
    ("pause_reason", "name_kk"),  # a word of a list
    ("pause_reason", "name_ru"),
    ("record_field", "guard"),
    ("record_field", "options"),
    ("record_field", "proposing"),
    ("record_letter", "number"),  # of a letter
    ("record_letter_change", "differences"),  # of its number, days and kind: what names is sealed
    ("record_preset", "answers"),  # the same for every applicant
    ("recording", "call_language"),
    ("recording", "call_outcome"),
    ("recording", "sealed_to"),  # a public key
    ("recording", "spool_name"),  # ids
    ("recording_hold", "reason"),  # a demand's number
    ("second_factor", "secret"),  # of a device
    ("skill", "name_kk"),
    ("skill", "name_ru"),
    ("status_attempt", "scope"),
    ("web_identity", "refresh_token"),  # of a sign-in at the provider
}


def tables() -> list[Table]:
    for file in PACKAGE.rglob("tables.py"):
        import_module(f"callcenter.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}")
    return metadata.sorted_tables


def may_be_personal(column: Column[Any]) -> bool:
    """By its name or comment, or because it holds whatever is put into it."""
    if column.type.python_type in {bool, int, date, datetime, UUID}:
        return False
    return bool(
        _WORDS.search(column.name)
        or _COMMENT.search(column.comment or "")
        or isinstance(column.type, JSONB)
    )


def suspects() -> Iterator[tuple[str, str]]:
    for table in tables():
        yield from ((table.name, each.name) for each in table.c if may_be_personal(each))


def registered_columns() -> list[tuple[str, str]]:
    return [(data.table.name, name) for data in offers(PersonalData) for name in data.columns]


def test_every_column_with_personal_data_is_registered() -> None:
    assert set(suspects()) - set(registered_columns()) == NOT_PERSONAL


def test_no_column_is_registered_twice() -> None:
    columns = registered_columns()
    assert len(columns) == len(set(columns))


@pytest.mark.parametrize(
    "data", offers(PersonalData), ids=lambda data: f"{data.table.name}.{'.'.join(data.columns)}"
)
def test_personal_data_are_erased_or_stay_for_a_reason(data: PersonalData) -> None:
    match data.ends:
        case Erasure(when, by):
            if named := re.match(r"setting (\w+)", when):
                assert named[1] in Settings.model_fields
            assert callable(resolve_name(by))
        case Permanent(reason):
            assert len(reason.split()) > 3


def test_personal_data_without_an_end_are_refused() -> None:
    with pytest.raises(OperationFailed, match="why they are kept"):
        Permanent("")
    for when, by in (("", "callcenter.cli:main"), ("a day", "")):
        with pytest.raises(OperationFailed, match="when they are erased"):
            Erasure(when, by)


def test_a_column_that_a_table_has_not_is_refused() -> None:
    with pytest.raises(OperationFailed, match="audit_entry"):
        PersonalData(audit_entry, ("telephone",), Permanent("it is only in this test"))
