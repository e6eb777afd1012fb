"""The record of an appeal: its identifiers, stages, terms, fields, and two people at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.errors import AskedWrongly
from callcenter.register.fields import (
    Field,
    Form,
    Guard,
    Option,
    Section,
    Type,
    WrongContent,
    check_field,
    is_identified,
    people_of,
)
from callcenter.register.identifiers import check_digit, parse_identifier
from callcenter.register.merging import Change, Difference, differences, together
from callcenter.register.receipt import Receipt, spaced
from callcenter.register.stages import (
    ENDED,
    MOVES,
    IllegalMove,
    Kind,
    Missing,
    Stage,
    Standing,
    check_move,
)
from callcenter.register.terms import Clock, Law, NoTerm, NotExtended, Term, Unit
from callcenter.workdays.calendar import state_calendar

FROM = date(2021, 7, 1)
LAW = Law(
    [
        Term(Clock.DECIDE, 15, Unit.WORKING_DAYS, "76(1)", FROM),
        Term(Clock.COMPLAINT, 20, Unit.WORKING_DAYS, "99", FROM),
        Term(Clock.FORWARD, 3, Unit.WORKING_DAYS, "65(1)", FROM),
        Term(Clock.EXTEND, 2, Unit.MONTHS, "76(3)", FROM),
        Term(Clock.NOTICE, 3, Unit.WORKING_DAYS, "76(3)", FROM),
    ],
    state_calendar(),
)
digits = st.text("0123456789", min_size=11, max_size=11)


@given(digits)
def test_the_last_digit_checks_the_others(eleven: str) -> None:
    last = check_digit(eleven)
    for digit in range(10):
        number = f"{eleven}{digit}"
        if digit == last and number != "0" * 12:
            assert parse_identifier(f" {number[:6]}-{number[6:]} ") == number
        else:
            with pytest.raises(AskedWrongly):
                parse_identifier(number)


@given(digits, st.integers(0, 10), st.integers(1, 9))
def test_a_wrong_digit_is_caught(eleven: str, place: int, more: int) -> None:
    last = check_digit(eleven)
    wrong = f"{eleven[:place]}{(int(eleven[place]) + more) % 10}{eleven[place + 1 :]}"
    # The second weights may let through what the first would have caught: the state chose so.
    if last is not None and check_digit(wrong) != last:
        with pytest.raises(AskedWrongly):
            parse_identifier(f"{wrong}{last}")


@pytest.mark.parametrize("text", ["", "12345", "1" * 13, "abcdefghijkl", "０" * 12, "0" * 12])
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(AskedWrongly):
        parse_identifier(text)


def test_from_every_stage_that_is_no_end_a_way_leads_on() -> None:
    assert {move.before for move in MOVES} >= set(Stage) - ENDED
    assert {move.after for move in MOVES} == set(Stage)


@given(
    st.sampled_from(Stage),
    st.sampled_from(Stage),
    st.builds(
        Standing,
        kind=st.none() | st.sampled_from(Kind),
        identified=st.booleans(),
        described=st.booleans(),
        helped=st.booleans(),
        decided=st.booleans(),
        registered=st.booleans(),
        passed_on=st.booleans(),
    ),
    st.sampled_from(["", "  ", "asked again"]),
)
def test_a_move_is_legal_or_names_both_stages_or_what_is_missing(
    before: Stage, after: Stage, standing: Standing, reason: str
) -> None:
    legal = (before, after) in {(move.before, move.after) for move in MOVES}
    refusal: AskedWrongly | None = None
    try:
        check_move(before, after, standing, reason)
    except (IllegalMove, Missing) as exc:
        refusal = exc
    if isinstance(refusal, IllegalMove):
        assert {before.value, after.value} <= set(str(refusal).split())
        assert not legal or (after is Stage.REGISTERED and standing.registered)
    elif isinstance(refusal, Missing):
        assert legal
        assert refusal.what
    else:
        assert legal
        assert after is not Stage.REGISTERED or (standing.identified and not standing.registered)
        assert after not in (Stage.CLOSED, Stage.JOINED) or standing.passed_on


def test_nobody_anonymous_is_registered_and_everybody_anonymous_is_helped() -> None:
    anonymous = Standing(Kind.STATEMENT, False, True, True, True, False)
    with pytest.raises(Missing):
        check_move(Stage.CONTACT, Stage.REGISTERED, anonymous, "")
    check_move(Stage.CONTACT, Stage.IN_WORK, anonymous, "")
    danger = Standing(Kind.DANGER, False, True, False, False, False)
    check_move(Stage.CONTACT, Stage.IN_WORK, danger, "")
    check_move(Stage.IN_WORK, Stage.FORWARDED, danger, "")


# The days are those worked out in the law's own examples and by hand, see the domain's facts.
@pytest.mark.parametrize(
    ("kind", "registered", "due"),
    [
        (Kind.STATEMENT, date(2026, 2, 2), date(2026, 2, 23)),
        (Kind.COMPLAINT, date(2026, 2, 2), date(2026, 3, 2)),
        (Kind.STATEMENT, date(2026, 3, 6), date(2026, 4, 2)),
        (Kind.STATEMENT, date(2026, 12, 10), date(2027, 1, 5)),
    ],
)
def test_an_answer_is_due_as_the_law_counts(kind: Kind, registered: date, due: date) -> None:
    assert LAW.answer_due(kind, registered).on == due


def test_a_term_is_extended_by_two_months_at_most_and_a_complaints_never() -> None:
    decided = date(2026, 6, 1)
    new, notice = LAW.extended(Kind.STATEMENT, decided, date(2026, 7, 31))
    assert new.on == date(2026, 7, 31)
    assert notice.on == date(2026, 6, 4)
    for late in (date(2026, 8, 4), decided):
        with pytest.raises(NotExtended):
            LAW.extended(Kind.STATEMENT, decided, late)
    with pytest.raises(NotExtended):
        LAW.extended(Kind.COMPLAINT, decided, date(2026, 6, 20))


def test_a_term_that_is_not_entered_for_a_day_is_no_term() -> None:
    with pytest.raises(NoTerm):
        LAW.term(Clock.DECIDE, date(2021, 6, 30))


def test_what_came_in_the_evening_is_registered_on_the_next_working_day() -> None:
    evening = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # a Friday, 20:00 in Almaty
    assert LAW.registered_on(evening) == date(2026, 11, 30)
    assert LAW.registered_on(evening - timedelta(hours=6)) == date(2026, 11, 27)


def field(
    code: str, asked: Type, guard: Guard = Guard.OPEN, section: Section = Section.APPEAL
) -> Field:
    options = tuple(Option(each, each, each, each) for each in ("one", "two"))
    chosen = options if asked in (Type.CHOICE, Type.CHOICES) else ()
    return Field(code, section, asked, guard, "kk", "ru", "en", 1, chosen)


FORM = Form(
    [
        field("content", Type.LONG_TEXT, Guard.PERSONAL),
        field("topics", Type.CHOICES),
        field("region", Type.CHOICE),
        field("count", Type.NUMBER),
        field("day", Type.DATE),
        field("danger", Type.YES),
        field("name", Type.TEXT, Guard.PERSONAL, section=Section.PERSON),
        field("person_kind", Type.TEXT, section=Section.PERSON),
        field("identifier", Type.IDENTIFIER, Guard.SENSITIVE, section=Section.PERSON),
    ]
)
keys = st.sampled_from(
    ["content", "topics", "region", "count", "day", "danger", "applicant.name", "affected3.name",
     "affected0.name", "nobody.name", "applicant.identifier", "unknown", "", "applicant."]
)  # fmt: skip
values = st.text(max_size=40) | st.lists(st.text(max_size=8), max_size=4)


@given(st.dictionaries(keys, values, max_size=6))
def test_whatever_is_entered_is_kept_cleanly_or_named(content: dict[str, str | list[str]]) -> None:
    refusal = None
    try:
        kept = FORM.checked(content)
    except WrongContent as exc:
        refusal = exc
    if refusal is not None:
        assert refusal.faults
        assert set(refusal.faults) <= set(content)
    else:
        assert set(kept) <= set(content)
        assert all(kept.values())
        assert FORM.checked(kept) == kept


def test_each_fault_is_told_by_its_field() -> None:
    wrong = {"day": "24.11.2026", "count": "-1", "region": "three", "applicant.identifier": "1"}
    with pytest.raises(WrongContent) as caught:
        FORM.checked(wrong | {"content": "x" * 20_001, "affected1.name": "a\x00b"})
    assert set(caught.value.faults) == {*wrong, "content", "affected1.name"}


def test_a_childs_name_is_sensitive_and_an_adults_is_not() -> None:
    adult = {"affected1.name": "А. Б."}
    assert FORM.guard("affected1.name", adult) is Guard.PERSONAL
    assert FORM.guard("affected1.name", adult | {"affected1.person_kind": "child"}) is (
        Guard.SENSITIVE
    )
    assert FORM.guard("of_the_past", {}) is Guard.SENSITIVE


def test_people_are_told_in_the_order_of_the_form() -> None:
    content = {"affected2.name": "a", "accused1.name": "b", "applicant.name": "c", "content": "d"}
    assert people_of(content) == ["applicant", "affected2", "accused1"]
    assert not is_identified(content)
    assert is_identified(content | {"applicant.address": "e"})


@pytest.mark.parametrize(
    "wrong",
    [
        field("Bad code", Type.TEXT),
        Field("ok", Section.APPEAL, Type.CHOICE, Guard.OPEN, "a", "b", "c", 1),
        Field("ok", Section.APPEAL, Type.TEXT, Guard.OPEN, "", "b", "c", 1),
        Field("ok", Section.APPEAL, Type.CHOICE, Guard.OPEN, "a", "b", "c", 1,
              (Option("one", "a", "b", "c", parent="two"),)),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_asked_is_refused(wrong: Field) -> None:
    with pytest.raises(AskedWrongly):
        check_field(wrong)


contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z"]))


@given(st.lists(contents, min_size=2, max_size=5))
def test_changes_in_a_row_are_told_as_one(versions: list[dict[str, str]]) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    made = [
        Change(number, at, "user:a", differences(one, other))
        for number, (one, other) in enumerate(pairwise(versions))
    ]
    assert together(made) == differences(versions[0], versions[-1])
    assert differences({}, {"a": "x"}) == {"a": Difference(None, "x")}


@pytest.mark.parametrize("language", ["kk", "ru"])
def test_a_receipt_says_all_that_the_law_wants(language: str) -> None:
    receipt = Receipt(
        number="2600000012",
        received_at=datetime(2026, 11, 24, 20, 30, tzinfo=UTC),
        registered_on=date(2026, 11, 25),
        accepted_by="Ахметова А. Б., кеңесші",
        due_on=date(2026, 12, 16),
        article="350-VI, 76(1)",
        code="0427",
        language=language,
    )
    said = [value for _, value in receipt.lines()]
    assert said[1:] == [
        "26 0000 0012",
        "25.11.2026 01:30",
        "25.11.2026",
        "Ахметова А. Б., кеңесші",
        "16.12.2026 (350-VI, 76(1))",
        "0427",
    ]
    told = ("2600000012", "25.11.2026 01:30", "16.12.2026", "0427", "Ахметова А. Б., кеңесші")
    assert all(part in receipt.sms() for part in told)
    spoken = receipt.spoken()
    assert spoken.count("2 6, 0 0 0 0, 0 0 1 2") == 2
    month = {"kk": "25 қараша", "ru": "25 ноября"}[language]
    assert all(part in spoken for part in (month, "01:30", "0 4 2 7", "Ахметова", "16 "))
    answered = replace(receipt, due_on=None)
    assert len(answered.lines()) == len(receipt.lines()) - 1
    assert "16" not in answered.sms() + answered.spoken()
    assert spaced("2600000012") == "26 0000 0012"
