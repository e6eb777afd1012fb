"""Requests to state bodies: their states, and that nothing leaves but what a person chose."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.rules.fields import (
    PEOPLE,
    AccessRule,
    Field,
    FieldType,
    Form,
    Option,
    Section,
    Value,
)
from callcenter.bodies.rules.directory import Body, BodyKind, BodyName
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.settings import ROOT
from callcenter.requests.labels import REQUEST_STATES, REQUEST_STEPS
from callcenter.requests.request_text import compose
from callcenter.requests.rules.allowed_fields import BY_DIRECTION, OF_ALL, is_allowed
from callcenter.requests.rules.composition import (
    EMPTY,
    ERASED,
    NO_WORDS,
    NOT_CLEARED,
    NOT_SAFE,
    ReleasedFile,
    RequestDraft,
    RequestPackage,
    check_choice,
    find_in_draft,
    list_obstacles,
)
from callcenter.requests.rules.discretion import needs_discretion
from callcenter.requests.rules.states import (
    ENDED,
    LATE,
    MOVES,
    NOTICES,
    OF_THE_CLOCK,
    PROGRESS,
    WITH_BODY,
    IllegalRequestStep,
    RequestState,
    RequestStep,
    StepFacts,
    check_facts,
    late_step,
    move_request,
    steps_from,
)
from tests.calendars import PACKAGED

VERSIONS = ROOT / "migrations" / "versions"
FIRST: list[dict[str, Any]] = [
    *json.loads((VERSIONS / "0019_first_fields.json").read_text("utf-8"))["fields"],
    json.loads((VERSIONS / "0039_urgency.json").read_text("utf-8"))[0],
]
FORM = Form(
    [
        Field(
            code=each["code"],
            section=Section(each.get("section", "appeal")),
            type=FieldType(each["type"]),
            guard=AccessRule(each["guard"]),
            kk=each["kk"],
            ru=each["ru"],
            en=each["en"],
            position=each["position"],
            options=tuple(Option(**option) for option in each["options"]),
        )
        for each in FIRST
    ]
)
DIRECTIONS = [each.code for each in FORM.options("direction")]
ROLES = [role if role in PEOPLE[:3] else f"{role}1" for role in PEOPLE]
TYPED = {
    FieldType.TEXT: "набрано",
    FieldType.LONG_TEXT: "набрано много",
    FieldType.DATE: "2020-01-01",
    FieldType.NUMBER: "17",
    FieldType.IDENTIFIER: "900101300017",
}
TODAY = date(2026, 11, 24)
BODY = Body("police", BodyKind.CENTRAL, (BodyName(date(2026, 1, 1), "Полиция", "Полиция", "P"),))
SAY = RecordLabels(Translator("ru"), FORM)


def keys() -> list[str]:
    """Each key that a record may have: fields of the appeal, and of a person of every role."""
    return [
        key
        for field in FORM.fields
        for key in (
            [field.code]
            if field.section is Section.APPEAL
            else [f"{role}.{field.code}" for role in ROLES]
        )
    ]


def value(key: str, which: int) -> Value:
    """One of two values of a field."""
    field = FORM.field(key)
    assert field is not None
    if field.type is FieldType.CHOICE:
        return field.options[which].code
    if field.type is FieldType.CHOICES:
        return [field.options[which].code]
    if field.type is FieldType.YES:
        return "yes"
    return f"{TYPED[field.type]} {key} {which}"


RECORD = {key: value(key, 0) for key in keys()}


def package(draft: RequestDraft, content: dict[str, Value]) -> RequestPackage:
    received_at = datetime(2026, 11, 24, 4, tzinfo=UTC)
    return compose(SAY, BODY, "2600000001", received_at, draft, content, TODAY)


@pytest.mark.parametrize("key", keys())
def test_a_field_leaves_only_when_it_was_chosen(key: str) -> None:
    """Each field of a record is changed in turn: what leaves changes by the chosen one alone."""
    changed = RECORD | {key: value(key, 1)}
    if RECORD[key] == "yes":
        del changed[key]
    others = RequestDraft("Проверить", dict.fromkeys((each for each in RECORD if each != key), "-"))
    for draft in (EMPTY, RequestDraft("Проверить"), others):
        assert package(draft, changed) == package(draft, RECORD)
    chosen = RequestDraft("Проверить", {key: "-"})
    assert package(chosen, changed).sha256 != package(chosen, RECORD).sha256
    assert SAY.value(key, RECORD[key]) in package(chosen, RECORD).text


@pytest.mark.parametrize("key", keys())
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_field_of_no_list_wants_a_reason(direction: str, key: str) -> None:
    listed = OF_ALL | BY_DIRECTION[direction]
    person, dot, code = key.partition(".")
    on_list = (f"{person.rstrip('1')}.{code}" if dot else key) in listed
    assert is_allowed(direction, key) is on_list
    if on_list:
        assert check_choice(direction, "", {key: " лишнее "}, RECORD) == ("", {key: ""})
        return
    for nothing in ("", " ", "x" * 301, "a\nb"):
        with pytest.raises(InvalidRequest):
            check_choice(direction, "", {key: nothing}, RECORD)
    assert check_choice(direction, "", {key: " нужен "}, RECORD) == ("", {key: "нужен"})


def test_lists_have_fields_that_there_are_and_hide_who_reports() -> None:
    there_are = {key.replace("1.", ".") for key in keys()}
    assert set(BY_DIRECTION) == set(DIRECTIONS)
    for listed in (OF_ALL, *BY_DIRECTION.values()):
        assert listed <= there_are
        assert not [key for key in listed if key.startswith(("reporter", "representative"))]
        assert listed.isdisjoint({"help", "decision", "decision_reason"})


def test_nobody_chooses_what_they_do_not_see() -> None:
    seen = {key: each for key, each in RECORD.items() if key != "applicant.identifier"}
    with pytest.raises(InvalidRequest):
        check_choice("legal", "", {"applicant.identifier": ""}, seen)
    for words in ("x" * 10_001, "a\x00b", "a\u202eb"):
        with pytest.raises(InvalidRequest):
            check_choice("legal", words, {}, RECORD)


def test_a_request_leaves_when_nothing_stands_in_the_way() -> None:
    content = {"content": "Звонить 8 701 234 56 67", "applicant.phone": "+77012345667"}
    assert list_obstacles(EMPTY, [], content) == [NO_WORDS]
    draft = RequestDraft("Проверить", {"content": ""})
    findings = find_in_draft(draft, FORM, content, ())
    assert [each.text for each in findings] == ["8 701 234 56 67"]
    assert list_obstacles(draft, findings, content) == [NOT_CLEARED]
    cleared = replace(draft, cleared=frozenset(findings))
    assert list_obstacles(cleared, findings, content) == []
    # Another number in its place was cleared by nobody.
    other = content | {"content": "Звонить 8 701 234 56 68"}
    assert list_obstacles(cleared, find_in_draft(cleared, FORM, other, ()), other) == [NOT_CLEARED]
    with_phone = replace(draft, fields={"content": "", "applicant.phone": ""})
    assert find_in_draft(with_phone, FORM, content, ()) == []
    assert list_obstacles(draft, [], {}) == [ERASED]


@pytest.mark.parametrize(
    ("key", "said", "others"),
    [
        ("applicant.name", "Сейтова Айгүл (муж Серик Сейтов)", "Серик Сейтов"),
        ("applicant.name", "Сейтова Айгүл, 8 701 234 56 68", "8 701 234 56 68"),
        ("applicant.phone", "8 701 234 56 67, сосед Тимур", "Тимур"),
        ("applicant.address", "ул. Абая 12; спросить Тимура", "Тимура"),
        ("applicant.email", "a@b.kz, мужа 8 701 234 56 68", "8 701 234 56 68"),
    ],
)
def test_what_else_a_field_of_somebody_says_is_found(key: str, said: str, others: str) -> None:
    draft = RequestDraft("Проверить", {key: ""})
    findings = find_in_draft(draft, FORM, {key: said, "accused1.name": "Сейтов Серик"}, ())
    assert [each.text for each in findings] == [others]


def test_a_telephone_leaves_with_how_it_may_safely_be_called() -> None:
    content: dict[str, Value] = {
        "affected1.phone": "+77012345667",
        "affected1.safe_ways": ["sms"],
        "applicant.email": "a@b.kz",
    }
    alone = RequestDraft("Проверить", {"affected1.phone": ""})
    assert list_obstacles(alone, [], content) == [NOT_SAFE]
    safe = RequestDraft("Проверить", {"affected1.phone": "", "affected1.safe_ways": ""})
    assert list_obstacles(safe, [], content) == []
    # Nothing was said about the other one.
    assert list_obstacles(RequestDraft("Проверить", {"applicant.email": ""}), [], content) == []


def test_the_hash_is_of_text_and_files() -> None:
    file = ReleasedFile(UUID(int=1), "1.jpg", 3, "ab", "видно ушиб", "user:a")
    one = package(RequestDraft("Проверить", files=(file,)), {})
    assert one.text.endswith("1.jpg\n")
    assert "видно ушиб" not in one.text
    for changed in (replace(file, sha256="cd"), replace(file, name="2.jpg")):
        assert replace(one, files=(changed,)).sha256 != one.sha256
    assert replace(one, text=one.text + " ").sha256 != one.sha256


class RequestMachine(RuleBasedStateMachine):
    """Any steps in any order on one request."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RequestState.DRAFTED
        self.way = [self.state]

    @rule(step=st.sampled_from(RequestStep))
    def take(self, step: RequestStep) -> None:
        legal = [move.after for move in MOVES if (move.step, move.before) == (step, self.state)]
        if not legal:
            with pytest.raises(IllegalRequestStep):
                move_request(self.state, step)
            return
        self.state = move_request(self.state, step)
        assert [self.state] == legal
        self.way.append(self.state)

    @precondition(lambda self: self.state not in ENDED)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        legal = [move.step for move in MOVES if move.before is self.state]
        self.take(data.draw(st.sampled_from(legal)))

    @invariant()
    def with_a_body_only_after_it_was_sent(self) -> None:
        for state in WITH_BODY:
            if state in self.way:
                sent = self.way.index(RequestState.SENT)
                assert sent <= self.way.index(state)
                assert RequestState.WAITING in self.way[:sent]
                assert RequestState.DRAFTED not in self.way[sent:]

    @invariant()
    def what_has_ended_stays_and_what_is_late_stays_late(self) -> None:
        if self.state in ENDED:
            assert set(steps_from(self.state)) == set(NOTICES)
        late = [each for each in self.way if each in LATE]
        if late:
            after = self.way[self.way.index(late[0]) :]
            assert set(after) <= {*LATE, *ENDED}
            assert list(dict.fromkeys(late)) == list(LATE[: len(set(late))])

    @invariant()
    def progress_goes_forward(self) -> None:
        places = [PROGRESS.index(each) for each in self.way if each in PROGRESS]
        assert places == sorted(places)


TestRequestMachine = RequestMachine.TestCase


@pytest.mark.parametrize(
    ("topics", "is_hidden"),
    [
        (["labour"], False),
        (["violence"], True),
        (["labour", "mental_suicide"], True),
        (["stalking"], True),  # that the center added, two levels below
        (["nobody_knows"], True),
        (["circle"], False),
        (["labour", "missing"], True),
        (["other"], True),
        ([], True),
    ],
)
def test_what_may_be_of_the_home_needs_discretion(topics: list[str], is_hidden: bool) -> None:
    parents = {
        "violence": "",
        "violence_psychological": "violence",
        "stalking": "violence_psychological",
        "mental": "",
        "mental_suicide": "mental",
        "labour": "",
        "missing": "",
        "other": "",
        "circle": "circle",
    }
    options = [Option(code, "", "", "", parent) for code, parent in parents.items()]
    assert needs_discretion(topics, options) is is_hidden


def test_every_state_is_reached_named_and_left_or_ended() -> None:
    assert {RequestState.DRAFTED, *(move.after for move in MOVES)} == set(RequestState)
    leaving = {move.before for move in MOVES if move.after is not move.before}
    assert leaving == set(RequestState) - ENDED
    assert {move.step for move in MOVES} == set(RequestStep)
    assert len({(move.step, move.before) for move in MOVES}) == len(MOVES)
    assert set(REQUEST_STATES) == set(RequestState)
    assert set(REQUEST_STEPS) == set(RequestStep)
    for state in RequestState:
        assert OF_THE_CLOCK.isdisjoint(steps_from(state))


@given(
    st.sampled_from(RequestStep),
    st.text(max_size=20),
    st.text(max_size=5),
    st.none() | st.dates(),
    st.sampled_from(["", "police", "health"]),
)
def test_a_step_says_what_it_has_to(
    step: RequestStep, reason: str, number: str, dated: date | None, competent: str
) -> None:
    facts = StepFacts(reason, number, dated, competent)
    begun_on = date(2026, 11, 1)
    try:
        checked = check_facts(step, facts, "police", begun_on, TODAY)
    except InvalidRequest:
        return
    if step is RequestStep.SENT:
        assert checked.number
        assert checked.dated is not None
        assert begun_on <= checked.dated <= TODAY
    elif step is not RequestStep.READIED:
        assert checked.reason
    assert (checked.competent == "health") is (step is RequestStep.REFUSED)


def test_who_refuses_names_another_body() -> None:
    for nobody in ("", "police"):
        facts = StepFacts("Не наша компетенция", competent=nobody)
        with pytest.raises(InvalidRequest):
            check_facts(RequestStep.REFUSED, facts, "police", TODAY, TODAY)


@given(st.sampled_from(RequestState), st.dates(date(2025, 1, 1), date(2026, 12, 1)))
def test_the_clock_makes_late_what_waits_for_a_body(state: RequestState, due_on: date) -> None:
    step = late_step(state, due_on, TODAY, PACKAGED)
    if state in PROGRESS:
        assert (step is RequestStep.OVERDUE) is (due_on < TODAY)
    elif state is RequestState.OVERDUE:
        assert (step is RequestStep.VERY_OVERDUE) is (PACKAGED.add_days(due_on, 5) < TODAY)
    else:
        assert step is None


@pytest.mark.parametrize(
    ("due_on", "today", "after"),
    [
        (date(2027, 12, 29), date(2028, 1, 20), None),
        (date(2027, 12, 20), date(2027, 12, 29), RequestStep.VERY_OVERDUE),
        (date(2027, 12, 20), date(2028, 1, 20), RequestStep.VERY_OVERDUE),
        (date(2028, 1, 10), date(2028, 1, 20), None),
    ],
)
def test_days_of_a_year_not_entered_are_not_counted(
    due_on: date, today: date, after: RequestStep | None
) -> None:
    """The packaged calendar ends with 2027."""
    assert late_step(RequestState.OVERDUE, due_on, today, PACKAGED) is after
    assert late_step(RequestState.SENT, due_on, today, PACKAGED) is RequestStep.OVERDUE
