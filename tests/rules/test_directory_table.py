"""The directory of state bodies as a table: what a file changes, and what it never does."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from callcenter.bodies.directory_files import FileFormat, read, write
from callcenter.bodies.rules.directory import (
    Body,
    BodyContact,
    BodyKind,
    BodyName,
    ContactMethod,
    Directory,
    DirectoryFault,
)
from callcenter.bodies.rules.directory_table import read_update, table_of
from callcenter.bodies.spreadsheet import text_of
from tests.rules.test_bodies import FORM, NAME, NUMBER, TODAY, VERIFIED, body

words = st.text("абвқ ә-", min_size=1, max_size=12).map(str.strip).filter(bool)
hours = st.sampled_from(["", "24/7", "Mo-Th 09:00-13:00,14:30-18:30; Fr 09:00-17:00"])
languages = st.sampled_from([(), ("kk",), ("kk", "ru")])
contacts = st.builds(
    BodyContact,
    st.sampled_from([ContactMethod.TELEPHONE, ContactMethod.DUTY]),
    st.sampled_from(["102", "+7 7172 740 000", "8 (727) 2-72-00-00"]),
    languages,
    hours,
    words,
)
bodies = st.builds(
    Body,
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from(BodyKind),
    st.tuples(st.builds(BodyName, st.dates(date(2020, 1, 1), TODAY), words, words, words)),
    region=st.sampled_from(["", "north"]),
    directions=st.sampled_from([(), ("order",), ("order", "children")]),
    topics=st.sampled_from([(), ("beating",)]),
    contacts=st.lists(contacts, max_size=3, unique_by=lambda each: each.content[:2]).map(tuple),
    ended_on=st.sampled_from([None, date(2030, 1, 1)]),
    version=st.just(3),
)


@given(st.lists(bodies, min_size=1, unique_by=lambda each: each.code))
def test_an_exported_directory_changes_nothing_when_it_comes_back(some: list[Body]) -> None:
    directory = Directory(some)
    update = read_update(read(write(table_of(some, TODAY), FileFormat.CSV)), directory, FORM)
    assert (update.changes, update.wrong, update.unchanged) == ((), (), len(some))


def test_a_file_adds_parents_first_and_names_wrong_rows() -> None:
    rows = list(table_of([body("below", NUMBER, parent="over"), body("over")], TODAY))
    update = read_update(rows, Directory(()), FORM)
    assert [change.body.code for change in update.changes] == ["over", "below"]
    assert all(change.is_new for change in update.changes)
    rows[1] = [cell.replace("department", "bureau") for cell in rows[1]]
    update = read_update(rows, Directory(()), FORM)
    assert [(each.number, each.code, each.fault) for each in update.wrong] == [
        (2, "below", DirectoryFault.KIND)
    ]


def test_a_file_renames_a_body_and_keeps_its_former_name() -> None:
    before = body("one", VERIFIED, version=1)
    new = replace(NAME, valid_from=TODAY, ru="Другой")
    rows = list(table_of([replace(before, names=(new,))], TODAY))
    [change] = read_update(rows, Directory([before]), FORM).changes
    assert change.body.names == (NAME, new)
    assert [each.field for each in change.differences] == ["names"]


def test_a_file_vouches_for_no_contact() -> None:
    evening = datetime(2026, 11, 29, 20, tzinfo=UTC)  # it is the next day in Almaty
    before = body("one", replace(VERIFIED, id=uuid4(), verified_at=evening), version=1)
    rows = [list(row) for row in table_of([before], TODAY)]
    assert rows[1][-2:] == ["2026-11-30", "user:head"]
    assert read_update(rows, Directory([before]), FORM).changes == ()
    rows[1] = [cell if cell != "102" else "112" for cell in rows[1]]
    [change] = read_update(rows, Directory([before]), FORM).changes
    assert change.body.contacts == (replace(NUMBER, value="112"),)
    assert [(each.before, each.after) for each in change.differences] == [
        ("telephone | 102", ""),
        ("", "telephone | 112"),
    ]


def test_cells_that_a_spreadsheet_changed_are_read_as_texts() -> None:
    assert [text_of(cell) for cell in (102.0, date(2026, 1, 2), datetime(2026, 1, 2), "x")] == [
        "102",
        "2026-01-02",
        "2026-01-02",
        "x",
    ]
