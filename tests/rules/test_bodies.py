"""The directory of state bodies: opening hours, names by date, contacts and their faults."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from callcenter.appeals.rules.fields import AccessRule, Field, FieldType, Form, Option, Section
from callcenter.bodies.rules.directory import (
    Body,
    BodyContact,
    BodyKind,
    BodyName,
    ContactMethod,
    ContactState,
    Directory,
    DirectoryFault,
    WrongBody,
    check_body,
)
from callcenter.bodies.rules.directory_lines import (
    format_contacts,
    format_names,
    parse_contacts,
    parse_names,
)
from callcenter.bodies.rules.opening_hours import format_hours, parse_hours
from callcenter.platform.core.errors import InvalidRequest

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TODAY = date(2026, 11, 30)
NAME = BodyName(date(2026, 1, 1), "Орган", "Орган", "Body")
NUMBER = BodyContact(ContactMethod.TELEPHONE, "102")
VERIFIED = replace(NUMBER, verified_at=NOW - timedelta(days=1), verified_by="user:head")
FAILED = replace(VERIFIED, failed_at=NOW, failure="no such number")


def choice(code: str, *options: Option) -> Field:
    kind = FieldType.CHOICES if code in ("topics", "direction") else FieldType.CHOICE
    names = (code, code, code)
    return Field(code, Section.APPEAL, kind, AccessRule.OPEN, *names, 0, options)


def option(code: str, parent: str = "") -> Option:
    return Option(code, code, code, code, parent)


FORM = Form(
    [
        choice("direction", option("order"), option("children")),
        choice("topics", option("violence"), option("beating", "violence"), option("housing")),
        choice("region", option("north"), option("south")),
        choice("district", option("hill", "north"), option("shore", "south")),
    ]
)


def body(code: str, *contacts: BodyContact, **values: object) -> Body:
    made = Body(code, BodyKind.DEPARTMENT, (NAME,), contacts=contacts)
    return replace(made, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("", ""),
        ("24/7", "24/7"),
        ("Mo-Su 00:00-24:00", "24/7"),
        ("Mo-Fr 09:00-13:00, 14:30-18:30", "Mo-Fr 09:00-13:00,14:30-18:30"),
        (" Mo-Th 09:00-18:30 ;Fr 09:00-17:00", "Mo-Th 09:00-18:30; Fr 09:00-17:00"),
        ("Mo,We-Fr,Su 08:00-12:00", "Mo,We-Fr,Su 08:00-12:00"),
    ],
)
def test_opening_hours_are_stored_in_one_form(typed: str, stored: str) -> None:
    assert format_hours(parse_hours(typed)) == stored
    assert parse_hours(stored) == parse_hours(typed)


@pytest.mark.parametrize(
    "wrong",
    [
        "9-18",
        "Mo-Fr",
        "Fr-Mo 09:00-18:00",
        "Mo 18:00-09:00",
        "Mo 09:00-13:00,12:00-18:00",
        "Mo-Fr 09:00-18:00; Fr 09:00-17:00",
        "Mo 09:00-25:00",
        "будни",
    ],
)
def test_hours_that_cannot_be_meant_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_hours(wrong)


def test_a_renamed_ministry_has_the_name_of_the_day() -> None:
    old, new = NAME, BodyName(date(2026, 9, 18), "Жаңа", "Новый", "New")
    renamed = check_body(body("ministry", names=(new, old)), Directory(()), FORM)
    assert renamed.names == (old, new)
    assert renamed.name_on(date(2020, 1, 1)) == old  # known since then, not named since then
    assert renamed.name_on(date(2026, 9, 17)) == old
    assert renamed.name_on(date(2026, 9, 18)) == new


def test_a_contact_is_stale_after_ninety_days_or_failed() -> None:
    assert NUMBER.state(NOW) is ContactState.UNVERIFIED
    assert VERIFIED.state(NOW) is ContactState.VERIFIED
    verified_at = VERIFIED.verified_at
    assert verified_at is not None
    assert VERIFIED.state(verified_at + timedelta(days=90)) is ContactState.VERIFIED
    late = verified_at + timedelta(days=90, seconds=1)
    assert VERIFIED.state(late) is ContactState.STALE
    assert FAILED.state(NOW) is ContactState.FAILED
    assert [body("one", each).needs_verification(NOW) for each in (VERIFIED, FAILED)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (body("Bad"), DirectoryFault.CODE),
        (body("one", parent="nobody"), DirectoryFault.PARENT),
        (body("one", parent="one"), DirectoryFault.PARENT),
        (body("one", region="west"), DirectoryFault.PLACE),
        (body("one", region="north", district="shore"), DirectoryFault.PLACE),
        (body("one", district="hill"), DirectoryFault.PLACE),
        (body("one", directions=("war",)), DirectoryFault.DIRECTION),
        (body("one", topics=("war",)), DirectoryFault.TOPIC),
        (body("one", names=()), DirectoryFault.NAMES),
        # "Sent to Unknown (null)": no language is without a name.
        (body("one", names=(replace(NAME, kk=" "),)), DirectoryFault.NAMES),
        (body("one", names=(NAME, NAME)), DirectoryFault.NAMES),
        (body("one", replace(NUMBER, value="")), DirectoryFault.VALUE),
        (body("one", replace(NUMBER, value="call us")), DirectoryFault.VALUE),
        (body("one", BodyContact(ContactMethod.EMAIL, "102")), DirectoryFault.VALUE),
        (body("one", BodyContact(ContactMethod.EMAIL, "No-Reply@gov.kz")), DirectoryFault.NO_REPLY),
        (body("one", replace(NUMBER, languages=("en",))), DirectoryFault.LANGUAGES),
        (body("one", replace(NUMBER, hours="daily")), DirectoryFault.HOURS),
        (body("one", NUMBER, replace(NUMBER, source="else")), DirectoryFault.TWICE),
        (body("one", working_hours="2026-12-31 closed"), DirectoryFault.WORKING_HOURS),
    ],
)
def test_what_cannot_be_a_body_is_refused_with_its_fault(
    wrong: Body, fault: DirectoryFault
) -> None:
    with pytest.raises(WrongBody) as refused:
        check_body(wrong, Directory(()), FORM)
    assert refused.value.fault is fault


def test_callers_are_given_a_verified_telephone_before_others() -> None:
    other = replace(VERIFIED, value="112")
    duty = replace(VERIFIED, method=ContactMethod.DUTY)
    assert body("one", duty, NUMBER, other).telephone(NOW) == other
    assert body("one", duty, NUMBER).telephone(NOW) == NUMBER
    assert body("one", duty, FAILED).telephone(NOW) is None


def test_no_body_is_above_itself_in_a_circle() -> None:
    directory = Directory([body("one", parent="two"), body("two")])
    with pytest.raises(WrongBody):
        check_body(body("two", parent="one"), directory, FORM)


def test_names_and_contacts_are_read_as_they_are_written() -> None:
    names = (NAME, BodyName(date(2026, 9, 18), "Жаңа", "Новый", "New"))
    written = format_names(names)
    assert written == "2026-01-01 | Орган | Орган | Body\n2026-09-18 | Жаңа | Новый | New"
    assert parse_names(f"\n{written}\n\n") == names
    hours = "Mo-Th 09:00-18:30; Fr 09:00-17:00"
    full = BodyContact(ContactMethod.DUTY, "102", ("kk", "ru"), hours, "seen | heard")
    contacts = (NUMBER, full, BodyContact(ContactMethod.WORKPLACE))
    written = format_contacts(contacts)
    assert written.splitlines()[::2] == ["telephone | 102", "workplace"]
    assert parse_contacts(written) == contacts
