"""Demands of the authority (R17): their moves, their time, their sender, what they mean."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.rules.number import make
from callcenter.demands.actions import DemandAction
from callcenter.demands.rules.authorities import authority_on, names
from callcenter.demands.rules.deadlines import (
    DeadlineStatus,
    DeadlineTerm,
    DemandTimeUnit,
    deadline_status,
    due_at,
    warn_at,
)
from callcenter.demands.rules.matching import (
    Candidate,
    MatchReason,
    MatchWarning,
    cautions,
    read_criteria,
    reasons,
)
from callcenter.demands.rules.states import (
    MOVES,
    OVER,
    PREPARING,
    RUNNING,
    DemandState,
    DemandStep,
    IllegalDemandStep,
    NotAuthorised,
    check_person,
    check_sender,
    move,
)
from callcenter.platform.core.errors import InvalidRequest, SelfApproval
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import OFFICE_HOURS, YearNotEntered
from tests.calendars import PACKAGED

APPEAL = make(26, 1)
CALLER = "+77012345667"
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
MOMENTS = st.datetimes(
    datetime(2026, 1, 1),
    datetime(2026, 10, 1),
    timezones=st.just(UTC),
)


def test_every_state_and_step_has_its_place() -> None:
    reached = {DemandState.REGISTERED} | {after for _, after in MOVES.values()}
    assert reached == set(DemandState)
    assert set(MOVES) == set(DemandStep) - {DemandStep.REGISTERED}
    assert {DemandState.HANDED_OVER} | OVER | RUNNING == set(DemandState)
    for step in DemandStep:
        assert DemandAction.named(f"web:demand:{step.value}")


@pytest.mark.parametrize("state", DemandState)
@pytest.mark.parametrize("step", DemandStep)
def test_a_transition_is_in_the_table_or_names_both_states(
    state: DemandState, step: DemandStep
) -> None:
    if step in MOVES and state in MOVES[step][0]:
        assert move(state, step) is MOVES[step][1]
    else:
        with pytest.raises(IllegalDemandStep, match=f"{state.value} cannot be {step.value}"):
            move(state, step)


@given(
    st.lists(st.sampled_from([step for step in DemandStep if step is not DemandStep.REGISTERED]))
)
def test_only_what_was_checked_and_released_is_ever_disclosed(
    tried: list[DemandStep],
) -> None:
    state, done = DemandState.REGISTERED, [DemandStep.REGISTERED]
    for step in tried:
        try:
            state = move(state, step)
        except IllegalDemandStep:
            continue
        done.append(step)
    if DemandStep.HANDED_OVER in done:
        before = done[: done.index(DemandStep.HANDED_OVER)]
        assert before.index(DemandStep.SEARCHED) < before.index(DemandStep.CHECKED)
        last_check = len(before) - 1 - before[::-1].index(DemandStep.CHECKED)
        assert DemandStep.RELEASED in before[last_check:]
    if state in OVER:
        leaving = {after for sources, after in MOVES.values() if state in sources}
        assert leaving <= {state}  # a hold that ends moves nothing


@given(st.sets(st.sampled_from("abc")), st.sampled_from("abc"), st.sampled_from(list(DemandStep)))
def test_only_a_second_person_releases(preparers: set[str], who: str, step: DemandStep) -> None:
    if step in (DemandStep.RELEASED, DemandStep.OFFERED_AGAIN) and who in preparers:
        with pytest.raises(SelfApproval):
            check_person(step, who, preparers)
    else:
        check_person(step, who, preparers)
    assert {DemandStep.SEARCHED, DemandStep.CHECKED} < PREPARING


@pytest.mark.parametrize("step", DemandStep)
def test_a_foreign_demand_can_only_be_refused_or_withdrawn(step: DemandStep) -> None:
    check_sender(step, from_authority=True)
    if step in (
        DemandStep.SEARCHED,
        DemandStep.CHECKED,
        DemandStep.RELEASED,
        DemandStep.OFFERED_AGAIN,
    ):
        with pytest.raises(NotAuthorised):
            check_sender(step, from_authority=False)
    else:
        check_sender(step, from_authority=False)


@pytest.mark.parametrize(
    ("term", "received", "due"),
    [
        # The day of arrival does not count (76(2)); the last day ends with the working hours.
        (
            DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 3),
            MONDAY,
            datetime(2026, 11, 26, 18, 30, tzinfo=ZONE),
        ),
        # After work on Friday: registered on Monday, so the first day is Tuesday.
        (
            DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 1),
            datetime(2026, 11, 20, 19, 0, tzinfo=ZONE),
            datetime(2026, 11, 24, 18, 30, tzinfo=ZONE),
        ),
        # Over Independence Day, 16 December.
        (
            DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 2),
            datetime(2026, 12, 15, 9, 0, tzinfo=ZONE),
            datetime(2026, 12, 18, 18, 30, tzinfo=ZONE),
        ),
        # Hours run while people work: 3 of Monday's morning, lunch, 1 of its afternoon.
        (
            DeadlineTerm(DemandTimeUnit.WORKING_HOURS, 4),
            MONDAY,
            datetime(2026, 11, 23, 15, 30, tzinfo=ZONE),
        ),
        (
            DeadlineTerm(DemandTimeUnit.MOMENT, moment=MONDAY + timedelta(hours=9)),
            MONDAY,
            MONDAY + timedelta(hours=9),
        ),
    ],
)
def test_the_time_that_a_demand_sets(term: DeadlineTerm, received: datetime, due: datetime) -> None:
    assert due_at(term, received, PACKAGED) == due


@pytest.mark.parametrize(
    "term",
    [
        DeadlineTerm(DemandTimeUnit.WORKING_DAYS),
        DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 0),
        DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 61),
        DeadlineTerm(DemandTimeUnit.WORKING_HOURS, -1),
        DeadlineTerm(DemandTimeUnit.MOMENT),
        DeadlineTerm(DemandTimeUnit.MOMENT, moment=MONDAY),
        DeadlineTerm(DemandTimeUnit.MOMENT, moment=MONDAY + timedelta(days=400)),
    ],
)
def test_a_time_that_cannot_be_one_is_refused(term: DeadlineTerm) -> None:
    with pytest.raises(InvalidRequest):
        due_at(term, MONDAY, PACKAGED)


@given(MOMENTS, st.sampled_from(["working_days", "working_hours"]), st.integers(1, 60))
def test_the_alert_precedes_the_deadline_by_a_quarter(
    received: datetime, unit: str, count: int
) -> None:
    calendar = PACKAGED
    due = due_at(DeadlineTerm(DemandTimeUnit(unit), count), received, calendar)
    warn = warn_at(received, due, calendar)
    assert received < warn < due
    whole, left = (calendar.working_time(start, due, OFFICE_HOURS) for start in (received, warn))
    assert abs(left * 4 - whole) < timedelta(seconds=1)
    assert deadline_status(warn, due, warn - timedelta(seconds=1)) is DeadlineStatus.IN_TIME
    assert deadline_status(warn, due, warn) is DeadlineStatus.DUE_SOON
    assert deadline_status(warn, due, due) is DeadlineStatus.OVERDUE


def test_alerts_at_night_or_unknown_years_go_by_clock() -> None:
    night = datetime(2026, 11, 23, 20, 0, tzinfo=ZONE)
    late = night + timedelta(hours=4)
    assert warn_at(night, late, PACKAGED) == night + timedelta(hours=3)
    unknown = datetime(2090, 1, 2, 10, 0, tzinfo=ZONE)
    with pytest.raises(YearNotEntered):
        due_at(DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 1), unknown, PACKAGED)
    moment = unknown + timedelta(hours=8)
    assert due_at(DeadlineTerm(DemandTimeUnit.MOMENT, moment=moment), unknown, PACKAGED) == moment
    assert warn_at(unknown, moment, PACKAGED) == unknown + timedelta(hours=6)


def test_the_authority_is_named_as_on_the_letters_day() -> None:
    assert "аэрокосмической" in authority_on(date(2025, 9, 17)).ru
    assert "искусственного интеллекта" in authority_on(date(2025, 9, 18)).ru
    assert "информатизации" in authority_on(date(2026, 1, 8)).role_ru
    assert "цифровизации" in authority_on(date(2026, 11, 24)).role_ru
    assert [each.since for each in names()] == sorted({each.since for each in names()})
    with pytest.raises(InvalidRequest, match="older than the Rules"):
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
    criteria = read_criteria(
        f"{APPEAL[:2]} {APPEAL[2:]}", "8 701 234 56 67", "2001", MONDAY, MONDAY + timedelta(hours=1)
    )
    assert reasons(criteria, candidate()) == (
        MatchReason.APPEAL,
        MatchReason.CALLER,
        MatchReason.CONSULTANT,
        MatchReason.WITHIN,
    )
    earlier = candidate(started_at=MONDAY - timedelta(minutes=1))
    assert reasons(criteria, earlier)[-1] is MatchReason.OVERLAPS


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
    criteria = read_criteria(APPEAL, CALLER, "2001", MONDAY, MONDAY + timedelta(hours=1))
    assert reasons(criteria, candidate(**changed)) == ()


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
    with pytest.raises(InvalidRequest):
        read_criteria(appeal, caller, extension, since, until)


def test_what_an_officer_must_look_at_is_said() -> None:
    assert cautions(candidate()) == ()
    assert cautions(candidate(extension=None)) == (MatchWarning.NO_CONSULTANT,)
    assert cautions(candidate(state="closed")) == (MatchWarning.NOT_STORED,)
    assert cautions(candidate(state="failed")) == (MatchWarning.FAILED,)
    assert cautions(candidate(state="empty")) == (MatchWarning.EMPTY,)
    assert cautions(candidate(state="erased")) == (MatchWarning.ERASED,)
