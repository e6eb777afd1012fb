"""Demands of the authority (R17): their moves, their time, their sender, what they mean."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.number import make
from callcenter.audit.actions import Action
from callcenter.demands.authorities import authority_on, names
from callcenter.demands.matching import Candidate, Caution, Reason, cautions, read_wanted, reasons
from callcenter.demands.states import (
    MOVES,
    OVER,
    PREPARING,
    RUNNING,
    IllegalMove,
    NotAuthorised,
    SamePerson,
    State,
    Step,
    check_person,
    check_sender,
    move,
)
from callcenter.demands.terms import Standing, Term, Unit, due_at, standing, warn_at
from callcenter.errors import AskedWrongly
from callcenter.workdays.calendar import USUAL, ZONE, YearNotEntered, state_calendar

APPEAL = make(26, 1)
CALLER = "+77012345667"
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
MOMENTS = st.datetimes(
    datetime(2026, 1, 1),
    datetime(2026, 10, 1),
    timezones=st.just(UTC),
)


def test_every_state_and_step_has_its_place() -> None:
    reached = {State.REGISTERED} | {after for _, after in MOVES.values()}
    assert reached == set(State)
    assert set(MOVES) == set(Step) - {Step.REGISTERED}
    assert {State.HANDED_OVER} | OVER | RUNNING == set(State)
    for step in Step:
        assert Action(f"web:demand:{step.value}")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_a_move_is_in_the_table_or_raises_and_names_both(state: State, step: Step) -> None:
    if step in MOVES and state in MOVES[step][0]:
        assert move(state, step) is MOVES[step][1]
    else:
        with pytest.raises(IllegalMove, match=f"{state.value} cannot be {step.value}"):
            move(state, step)


@given(st.lists(st.sampled_from([step for step in Step if step is not Step.REGISTERED])))
def test_whatever_is_tried_nothing_is_handed_over_that_was_not_checked_and_then_released(
    tried: list[Step],
) -> None:
    state, done = State.REGISTERED, [Step.REGISTERED]
    for step in tried:
        try:
            state = move(state, step)
        except IllegalMove:
            continue
        done.append(step)
    if Step.HANDED_OVER in done:
        before = done[: done.index(Step.HANDED_OVER)]
        assert before.index(Step.SEARCHED) < before.index(Step.CHECKED)
        last_check = len(before) - 1 - before[::-1].index(Step.CHECKED)
        assert Step.RELEASED in before[last_check:]
    if state in OVER:
        leaving = {after for sources, after in MOVES.values() if state in sources}
        assert leaving <= {state}  # a hold that ends moves nothing


@given(st.sets(st.sampled_from("abc")), st.sampled_from("abc"), st.sampled_from(list(Step)))
def test_only_a_second_person_releases(preparers: set[str], who: str, step: Step) -> None:
    if step in (Step.RELEASED, Step.OFFERED_AGAIN) and who in preparers:
        with pytest.raises(SamePerson):
            check_person(step, who, preparers)
    else:
        check_person(step, who, preparers)
    assert {Step.SEARCHED, Step.CHECKED} < PREPARING


@pytest.mark.parametrize("step", Step)
def test_a_demand_of_somebody_else_can_only_be_refused_or_withdrawn(step: Step) -> None:
    check_sender(step, from_authority=True)
    if step in (Step.SEARCHED, Step.CHECKED, Step.RELEASED, Step.OFFERED_AGAIN):
        with pytest.raises(NotAuthorised):
            check_sender(step, from_authority=False)
    else:
        check_sender(step, from_authority=False)


@pytest.mark.parametrize(
    ("term", "received", "due"),
    [
        # The day of arrival does not count (76(2)); the last day ends with the working hours.
        (Term(Unit.WORKING_DAYS, 3), MONDAY, datetime(2026, 11, 26, 18, 30, tzinfo=ZONE)),
        # After work on Friday: registered on Monday, so the first day is Tuesday.
        (
            Term(Unit.WORKING_DAYS, 1),
            datetime(2026, 11, 20, 19, 0, tzinfo=ZONE),
            datetime(2026, 11, 24, 18, 30, tzinfo=ZONE),
        ),
        # Over Independence Day, 16 December.
        (
            Term(Unit.WORKING_DAYS, 2),
            datetime(2026, 12, 15, 9, 0, tzinfo=ZONE),
            datetime(2026, 12, 18, 18, 30, tzinfo=ZONE),
        ),
        # Hours run while people work: 3 of Monday's morning, lunch, 1 of its afternoon.
        (Term(Unit.WORKING_HOURS, 4), MONDAY, datetime(2026, 11, 23, 15, 30, tzinfo=ZONE)),
        (
            Term(Unit.MOMENT, moment=MONDAY + timedelta(hours=9)),
            MONDAY,
            MONDAY + timedelta(hours=9),
        ),
    ],
)
def test_the_time_that_a_demand_sets(term: Term, received: datetime, due: datetime) -> None:
    assert due_at(term, received, state_calendar()) == due


@pytest.mark.parametrize(
    "term",
    [
        Term(Unit.WORKING_DAYS),
        Term(Unit.WORKING_DAYS, 0),
        Term(Unit.WORKING_DAYS, 61),
        Term(Unit.WORKING_HOURS, -1),
        Term(Unit.MOMENT),
        Term(Unit.MOMENT, moment=MONDAY),
        Term(Unit.MOMENT, moment=MONDAY + timedelta(days=400)),
    ],
)
def test_a_time_that_cannot_be_one_is_refused(term: Term) -> None:
    with pytest.raises(AskedWrongly):
        due_at(term, MONDAY, state_calendar())


@given(MOMENTS, st.sampled_from(["working_days", "working_hours"]), st.integers(1, 60))
def test_the_alarm_comes_before_the_deadline_with_a_quarter_of_the_working_time_left(
    received: datetime, unit: str, count: int
) -> None:
    calendar = state_calendar()
    due = due_at(Term(Unit(unit), count), received, calendar)
    warn = warn_at(received, due, calendar)
    assert received < warn < due
    whole, left = (calendar.working_time(start, due, USUAL) for start in (received, warn))
    assert abs(left * 4 - whole) < timedelta(seconds=1)
    assert standing(warn, due, warn - timedelta(seconds=1)) is Standing.IN_TIME
    assert standing(warn, due, warn) is Standing.DUE_SOON
    assert standing(warn, due, due) is Standing.OVERDUE


def test_the_alarm_of_a_night_or_an_unknown_year_goes_by_the_clock() -> None:
    night = datetime(2026, 11, 23, 20, 0, tzinfo=ZONE)
    late = night + timedelta(hours=4)
    assert warn_at(night, late, state_calendar()) == night + timedelta(hours=3)
    unknown = datetime(2090, 1, 2, 10, 0, tzinfo=ZONE)
    with pytest.raises(YearNotEntered):
        due_at(Term(Unit.WORKING_DAYS, 1), unknown, state_calendar())
    moment = unknown + timedelta(hours=8)
    assert due_at(Term(Unit.MOMENT, moment=moment), unknown, state_calendar()) == moment
    assert warn_at(unknown, moment, state_calendar()) == unknown + timedelta(hours=6)


def test_the_authority_is_called_as_on_the_day_of_the_letter() -> None:
    assert "аэрокосмической" in authority_on(date(2025, 9, 17)).ru
    assert "искусственного интеллекта" in authority_on(date(2025, 9, 18)).ru
    assert "информатизации" in authority_on(date(2026, 1, 8)).role_ru
    assert "цифровизации" in authority_on(date(2026, 11, 24)).role_ru
    assert [each.since for each in names()] == sorted({each.since for each in names()})
    with pytest.raises(AskedWrongly, match="older than the Rules"):
        authority_on(date(2024, 6, 27))


def candidate(**changed: object) -> Candidate:
    values: dict[str, object] = {
        "recording_id": uuid4(),
        "appeal_number": APPEAL,
        "caller_number": CALLER,
        "extension": "2001",
        "started_at": MONDAY,
        "ended_at": MONDAY + timedelta(minutes=5),
        "state": "stored",
    }
    return Candidate(**values | changed)  # type: ignore[arg-type]


def test_a_recording_is_proposed_with_every_reason() -> None:
    wanted = read_wanted(
        f"{APPEAL[:2]} {APPEAL[2:]}", "8 701 234 56 67", "2001", MONDAY, MONDAY + timedelta(hours=1)
    )
    assert reasons(wanted, candidate()) == (
        Reason.APPEAL,
        Reason.CALLER,
        Reason.CONSULTANT,
        Reason.WITHIN,
    )
    earlier = candidate(started_at=MONDAY - timedelta(minutes=1))
    assert reasons(wanted, earlier)[-1] is Reason.OVERLAPS


@pytest.mark.parametrize(
    "changed",
    [
        {"appeal_number": make(26, 2)},
        {"caller_number": None},
        {"caller_number": "+77010000000"},
        {"extension": "2002"},
        {"extension": None},
        {"started_at": MONDAY + timedelta(hours=1), "ended_at": None},
        {"ended_at": MONDAY - timedelta(hours=1), "started_at": MONDAY - timedelta(hours=2)},
    ],
)
def test_what_the_letter_does_not_name_is_not_opened(changed: dict[str, object]) -> None:
    wanted = read_wanted(APPEAL, CALLER, "2001", MONDAY, MONDAY + timedelta(hours=1))
    assert reasons(wanted, candidate(**changed)) == ()


@pytest.mark.parametrize(
    ("appeal", "caller", "extension", "since", "until"),
    [
        ("", "", "", MONDAY, MONDAY + timedelta(hours=1)),
        (APPEAL[:-1], "", "", None, None),
        ("", CALLER, "", None, None),
        ("", "", "2001", None, None),
        ("", "somebody", "", MONDAY, MONDAY + timedelta(hours=1)),
        ("", "", "x", MONDAY, MONDAY + timedelta(hours=1)),
        (APPEAL, "", "", MONDAY, None),
        (APPEAL, "", "", MONDAY, MONDAY),
        (APPEAL, "", "", MONDAY, MONDAY + timedelta(days=400)),
    ],
)
def test_what_cannot_be_searched_is_refused(
    appeal: str, caller: str, extension: str, since: datetime | None, until: datetime | None
) -> None:
    with pytest.raises(AskedWrongly):
        read_wanted(appeal, caller, extension, since, until)


def test_what_an_officer_must_look_at_is_said() -> None:
    assert cautions(candidate()) == ()
    assert cautions(candidate(extension=None)) == (Caution.NO_CONSULTANT,)
    assert cautions(candidate(state="closed")) == (Caution.NOT_STORED,)
    assert cautions(candidate(state="failed")) == (Caution.FAILED,)
    assert cautions(candidate(state="erased")) == (Caution.ERASED,)
