"""The record of an appeal: its identifiers, stages, terms, fields, and two people at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.rules.deadlines import (
    DeadlineKind,
    DeadlineRules,
    LegalTerm,
    NoTerm,
    NotExtended,
    TermUnit,
)
from callcenter.appeals.rules.edit_conflict import ContentChange, FieldChange, combine, differences
from callcenter.appeals.rules.fields import (
    AccessRule,
    Field,
    FieldType,
    Form,
    Option,
    Section,
    WrongContent,
    check_field,
    is_identified,
    people_of,
)
from callcenter.appeals.rules.iin import check_digit, parse_identifier
from callcenter.appeals.rules.receipt import Receipt, group_digits
from callcenter.appeals.rules.states import (
    ENDED,
    MOVES,
    AppealKind,
    AppealState,
    IllegalTransition,
    MissingRequirements,
    TransitionFacts,
    check_move,
)
from callcenter.platform.core.errors import InvalidRequest
from tests.calendars import PACKAGED

FROM = date(2021, 7, 1)
LAW = DeadlineRules(
    [
        LegalTerm(DeadlineKind.DECIDE, 15, TermUnit.WORKING_DAYS, "76(1)", FROM),
        LegalTerm(DeadlineKind.COMPLAINT, 20, TermUnit.WORKING_DAYS, "99", FROM),
        LegalTerm(DeadlineKind.FORWARD, 3, TermUnit.WORKING_DAYS, "65(1)", FROM),
        LegalTerm(DeadlineKind.EXTEND, 2, TermUnit.MONTHS, "76(3)", FROM),
        LegalTerm(DeadlineKind.NOTICE, 3, TermUnit.WORKING_DAYS, "76(3)", FROM),
    ],
    PACKAGED,
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
            with pytest.raises(InvalidRequest):
                parse_identifier(number)


@given(digits, st.integers(0, 10), st.integers(1, 9))
def test_a_wrong_digit_is_caught(eleven: str, place: int, more: int) -> None:
    last = check_digit(eleven)
    wrong = f"{eleven[:place]}{(int(eleven[place]) + more) % 10}{eleven[place + 1 :]}"
    # The second weights may let through what the first would have caught: the state chose so.
    if last is not None and check_digit(wrong) != last:
        with pytest.raises(InvalidRequest):
            parse_identifier(f"{wrong}{last}")


@pytest.mark.parametrize("text", ["", "12345", "1" * 13, "abcdefghijkl", "０" * 12, "0" * 12])
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_identifier(text)


def test_every_state_but_ends_has_a_way_on() -> None:
    assert {move.before for move in MOVES} >= set(AppealState) - ENDED
    assert {move.after for move in MOVES} == set(AppealState)


@given(
    st.sampled_from(AppealState),
    st.sampled_from(AppealState),
    st.builds(
        TransitionFacts,
        kind=st.none() | st.sampled_from(AppealKind),
        identified=st.booleans(),
        described=st.booleans(),
        helped=st.booleans(),
        decided=st.booleans(),
        registered=st.booleans(),
        all_read=st.booleans(),
        passed_on=st.booleans(),
        to_leave=st.booleans(),
        with_body=st.booleans(),
    ),
    st.sampled_from(["", "  ", "asked again"]),
)
def test_a_transition_is_legal_or_names_what_is_missing(
    before: AppealState, after: AppealState, position: TransitionFacts, reason: str
) -> None:
    legal = (before, after) in {(move.before, move.after) for move in MOVES}
    refusal: InvalidRequest | None = None
    try:
        check_move(before, after, position, reason)
    except (IllegalTransition, MissingRequirements) as exc:
        refusal = exc
    if isinstance(refusal, IllegalTransition):
        assert {before.value, after.value} <= set(str(refusal).split())
        assert not legal or (after is AppealState.REGISTERED and position.registered)
    elif isinstance(refusal, MissingRequirements):
        assert legal
        assert refusal.what
    else:
        assert legal
        assert after is not AppealState.REGISTERED or (
            position.identified and not position.registered
        )
        assert after not in (AppealState.CLOSED, AppealState.JOINED) or position.passed_on
        assert after is not AppealState.NO_REQUEST or position.all_read
        assert after is not AppealState.FORWARDED or position.with_body
        ends = after in (AppealState.CLOSED, AppealState.NO_REQUEST)
        assert not ends or not (position.with_body or position.to_leave)


def test_nobody_anonymous_is_registered_and_everybody_anonymous_is_helped() -> None:
    anonymous = TransitionFacts(AppealKind.STATEMENT, False, True, True, True, False)
    with pytest.raises(MissingRequirements):
        check_move(AppealState.CONTACT, AppealState.REGISTERED, anonymous, "")
    check_move(AppealState.CONTACT, AppealState.IN_WORK, anonymous, "")
    danger = TransitionFacts(AppealKind.DANGER, False, True, False, True, False)
    check_move(AppealState.CONTACT, AppealState.IN_WORK, danger, "")
    check_move(AppealState.IN_WORK, AppealState.FORWARDED, replace(danger, with_body=True), "")


@pytest.mark.parametrize("after", [AppealState.FORWARDED, AppealState.ANSWERED, AppealState.CLOSED])
def test_the_decision_and_its_reason_come_first(after: AppealState) -> None:
    """R9: before it is passed on, answered or closed. Danger is told at once by another step."""
    undecided = TransitionFacts(AppealKind.STATEMENT, True, True, True, False, True)
    undecided = replace(undecided, with_body=after is AppealState.FORWARDED)
    with pytest.raises(MissingRequirements) as refused:
        check_move(AppealState.IN_WORK, after, undecided, "-")
    assert refused.value.what == ["the decision how much help it needs, and why"]
    check_move(AppealState.IN_WORK, after, replace(undecided, decided=True), "-")


@pytest.mark.parametrize("is_ready", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (AppealState.IN_WORK, AppealState.CLOSED, AppealKind.STATEMENT),
        (AppealState.CONTACT, AppealState.NO_REQUEST, AppealKind.NO_REQUEST),
    ],
)
def test_an_appeal_ends_after_its_requests(
    before: AppealState, after: AppealState, kind: AppealKind, is_ready: bool
) -> None:
    facts = TransitionFacts(kind, True, True, True, True, True)
    check_move(before, after, facts, "-")
    with pytest.raises(MissingRequirements):
        check_move(before, after, replace(facts, to_leave=is_ready, with_body=not is_ready), "-")


# The days are those worked out in the law's own examples and by hand, see the domain's facts.
@pytest.mark.parametrize(
    ("kind", "registered", "due"),
    [
        (AppealKind.STATEMENT, date(2026, 2, 2), date(2026, 2, 23)),
        (AppealKind.COMPLAINT, date(2026, 2, 2), date(2026, 3, 2)),
        (AppealKind.STATEMENT, date(2026, 3, 6), date(2026, 4, 2)),
        (AppealKind.STATEMENT, date(2026, 12, 10), date(2027, 1, 5)),
    ],
)
def test_an_answer_is_due_as_the_law_counts(kind: AppealKind, registered: date, due: date) -> None:
    assert LAW.answer_due(kind, registered).on == due


def test_a_term_grows_two_months_at_most_complaints_never() -> None:
    decided = date(2026, 6, 1)
    new, notice = LAW.extend(AppealKind.STATEMENT, decided, date(2026, 7, 31))
    assert new.on == date(2026, 7, 31)
    assert notice.on == date(2026, 6, 4)
    for late in (date(2026, 8, 4), decided):
        with pytest.raises(NotExtended):
            LAW.extend(AppealKind.STATEMENT, decided, late)
    with pytest.raises(NotExtended):
        LAW.extend(AppealKind.COMPLAINT, decided, date(2026, 6, 20))


def test_a_term_missing_for_a_day_is_no_term() -> None:
    with pytest.raises(NoTerm):
        LAW.term(DeadlineKind.DECIDE, date(2021, 6, 30))


def test_evening_arrivals_are_registered_on_the_next_working_day() -> None:
    evening = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # a Friday, 20:00 in Almaty
    assert LAW.registered_on(evening) == date(2026, 11, 30)
    assert LAW.registered_on(evening - timedelta(hours=6)) == date(2026, 11, 27)


def field(
    code: str,
    requested: FieldType,
    guard: AccessRule = AccessRule.OPEN,
    section: Section = Section.APPEAL,
) -> Field:
    options = tuple(Option(each, each, each, each) for each in ("one", "two"))
    chosen = options if requested in (FieldType.CHOICE, FieldType.CHOICES) else ()
    return Field(code, section, requested, guard, "kk", "ru", "en", 1, chosen)


FORM = Form(
    [
        field("content", FieldType.LONG_TEXT, AccessRule.PERSONAL),
        field("topics", FieldType.CHOICES),
        field("region", FieldType.CHOICE),
        field("count", FieldType.NUMBER),
        field("day", FieldType.DATE),
        field("danger", FieldType.YES),
        field("name", FieldType.TEXT, AccessRule.PERSONAL, section=Section.PERSON),
        field("person_kind", FieldType.TEXT, section=Section.PERSON),
        field("identifier", FieldType.IDENTIFIER, AccessRule.SENSITIVE, section=Section.PERSON),
    ]
)
keys = st.sampled_from(
    ["content", "topics", "region", "count", "day", "danger", "applicant.name", "affected3.name",
     "affected0.name", "nobody.name", "applicant.identifier", "unknown", "", "applicant."]
)  # fmt: skip
values = st.text(max_size=40) | st.lists(st.text(max_size=8), max_size=4)


@given(st.dictionaries(keys, values, max_size=6))
def test_whatever_is_entered_is_stored_cleanly_or_named(
    content: dict[str, str | list[str]],
) -> None:
    refusal = None
    try:
        stored = FORM.normalize(content)
    except WrongContent as exc:
        refusal = exc
    if refusal is not None:
        assert refusal.faults
        assert set(refusal.faults) <= set(content)
    else:
        assert set(stored) <= set(content)
        assert all(stored.values())
        assert FORM.normalize(stored) == stored


def test_each_fault_is_reported_by_its_field() -> None:
    wrong = {"day": "24.11.2026", "count": "-1", "region": "three", "applicant.identifier": "1"}
    with pytest.raises(WrongContent) as caught:
        FORM.normalize(wrong | {"content": "x" * 20_001, "affected1.name": "a\x00b"})
    assert set(caught.value.faults) == {*wrong, "content", "affected1.name"}


def test_a_childs_name_is_sensitive_and_an_adults_is_not() -> None:
    adult = {"affected1.name": "А. Б."}
    assert FORM.guard("affected1.name", adult) is AccessRule.PERSONAL
    assert FORM.guard("affected1.name", adult | {"affected1.person_kind": "child"}) is (
        AccessRule.SENSITIVE
    )
    assert FORM.guard("of_the_past", {}) is AccessRule.SENSITIVE


def test_people_are_listed_in_the_order_of_the_form() -> None:
    content = {"affected2.name": "a", "accused1.name": "b", "applicant.name": "c", "content": "d"}
    assert people_of(content) == ["applicant", "affected2", "accused1"]
    assert not is_identified(content)
    assert is_identified(content | {"applicant.address": "e"})


@pytest.mark.parametrize(
    "wrong",
    [
        field("Bad code", FieldType.TEXT),
        Field("ok", Section.APPEAL, FieldType.CHOICE, AccessRule.OPEN, "a", "b", "c", 1),
        Field("ok", Section.APPEAL, FieldType.TEXT, AccessRule.OPEN, "", "b", "c", 1),
        Field("ok", Section.APPEAL, FieldType.CHOICE, AccessRule.OPEN, "a", "b", "c", 1,
              (Option("one", "a", "b", "c", parent="two"),)),
    ],
)  # fmt: skip
def test_a_field_that_does_not_apply_is_refused(wrong: Field) -> None:
    with pytest.raises(InvalidRequest):
        check_field(wrong)


contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z"]))


@given(st.lists(contents, min_size=2, max_size=5))
def test_changes_in_a_row_are_reported_as_one(versions: list[dict[str, str]]) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    made = [
        ContentChange(number, at, "user:a", differences(one, other))
        for number, (one, other) in enumerate(pairwise(versions))
    ]
    assert combine(made) == differences(versions[0], versions[-1])
    assert differences({}, {"a": "x"}) == {"a": FieldChange(None, "x")}


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
    reported = ("2600000012", "25.11.2026 01:30", "16.12.2026", "0427", "Ахметова А. Б., кеңесші")
    assert all(part in receipt.sms() for part in reported)
    spoken = receipt.spoken()
    assert spoken.count("2 6, 0 0 0 0, 0 0 1 2") == 2
    month = {"kk": "25 қараша", "ru": "25 ноября"}[language]
    assert all(part in spoken for part in (month, "01:30", "0 4 2 7", "Ахметова", "16 "))
    answered = replace(receipt, due_on=None)
    assert len(answered.lines()) == len(receipt.lines()) - 1
    assert "16" not in answered.sms() + answered.spoken()
    assert group_digits("2600000012") == "26 0000 0012"
    assert group_digits("26100000010") == "26 100 000 010"
