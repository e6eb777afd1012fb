"""The moment at which a request to a body leaves: urgent at once (R11), else in its hours (R22)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.bodies.rules.working_hours import BodyHours, parse_working_hours
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.requests.rules.departure import (
    LATE_AFTER,
    URGENT_LATE_AFTER,
    is_departure_late,
    plan_departure,
    plan_registration,
)
from tests.calendars import PACKAGED
from tests.rules.test_working_hours import CALENDAR, USUAL, bodies_hours, moments, works_at


@given(moments, bodies_hours())
def test_what_is_urgent_leaves_at_any_hour_of_any_body(at: datetime, hours: str) -> None:
    body = parse_working_hours(hours)
    assert plan_departure(at, is_urgent=True, hours=body, calendar=CALENDAR) == at


def test_what_is_urgent_waits_for_no_year_of_the_calendar() -> None:
    at = datetime(2031, 1, 1, 3, tzinfo=ZONE)
    assert plan_departure(at, is_urgent=True, hours=BodyHours(), calendar=PACKAGED) == at
    with pytest.raises(YearNotEntered, match="2031"):
        plan_departure(at, is_urgent=False, hours=BodyHours(), calendar=PACKAGED)


@given(moments, bodies_hours(), st.floats(0, 1))
def test_what_waits_has_one_moment_unless_it_becomes_urgent(
    at: datetime, hours: str, share: float
) -> None:
    ready, body = at.astimezone(UTC), parse_working_hours(hours)
    leaves_at = plan_departure(ready, is_urgent=False, hours=body, calendar=CALENDAR)
    assert leaves_at >= ready
    assert works_at(leaves_at, hours)
    meanwhile = ready + (leaves_at - ready) * share
    assert plan_departure(meanwhile, is_urgent=False, hours=body, calendar=CALENDAR) == leaves_at
    assert plan_departure(meanwhile, is_urgent=True, hours=body, calendar=CALENDAR) == meanwhile


@pytest.mark.parametrize(
    ("hours", "dated", "noted", "registered"),
    [
        ("", "2026-11-24", "2026-11-24T08:00", "2026-11-24"),  # a Tuesday
        ("", "2026-11-24", "2026-11-24T13:30", "2026-11-24"),  # lunch
        ("", "2026-11-24", "2026-11-24T22:00", "2026-11-25"),
        ("", "2026-11-24", "2026-11-25T22:00", "2026-11-24"),
        ("", "2026-11-27", "2026-11-27T22:00", "2026-11-30"),
        ("", "2026-11-28", "2026-11-30T10:00", "2026-11-30"),  # a Saturday
        ("Mo-Fr 09:00-12:00", "2026-11-24", "2026-11-24T12:30", "2026-11-25"),
        (f"{USUAL}; 2026-11-24 off", "2026-11-24", "2026-11-26T10:00", "2026-11-25"),
        ("Mo-Sa 09:00-18:00", "2026-11-28", "2026-11-30T10:00", "2026-11-30"),  # as the state
        ("Sa 10:00-12:00", "2026-11-24", "2026-11-24T10:00", "2026-11-30"),
        ("24/7", "2026-11-24", "2026-11-24T23:59", "2026-11-24"),
        ("24/7", "2026-03-08", "2026-03-10T10:00", "2026-03-10"),  # a holiday, and its Monday
    ],
)
def test_what_a_body_got_is_registered_when_it_works(
    hours: str, dated: str, noted: str, registered: str
) -> None:
    found = plan_registration(
        date.fromisoformat(dated),
        datetime.fromisoformat(noted).replace(tzinfo=ZONE).astimezone(UTC),
        hours=parse_working_hours(hours),
        calendar=CALENDAR,
    )
    assert found == date.fromisoformat(registered)


@pytest.mark.parametrize(("is_urgent", "limit"), [(True, URGENT_LATE_AFTER), (False, LATE_AFTER)])
def test_what_nobody_hands_over_is_late(is_urgent: bool, limit: timedelta) -> None:
    leaves_at = datetime(2026, 11, 30, 9, tzinfo=ZONE)
    assert not is_departure_late(leaves_at, leaves_at + limit, is_urgent=is_urgent)
    late = leaves_at + limit + timedelta(seconds=1)
    assert is_departure_late(leaves_at, late, is_urgent=is_urgent)
