"""Which numbers may be blocked, for how long, and when a block ends."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.telephony.callers.blocklist.rules import (
    PERIODS,
    check_hours,
    is_blocked,
)
from callcenter.telephony.callers.rules import check_number

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("written", ["+77012345667", "8 (701) 234-56-67", "7012345667"])
def test_a_number_is_blocked_however_it_is_written(written: str) -> None:
    assert check_number(written) == "+77012345667"


@pytest.mark.parametrize("written", ["", "102", "1414", "anonymous", "abc", "+7701", "'; --"])
def test_services_and_what_is_no_number_cannot_be_blocked(written: str) -> None:
    with pytest.raises(InvalidRequest, match="whole telephone number"):
        check_number(written)


@given(st.integers())
def test_a_block_has_an_end_within_thirty_days(hours: int) -> None:
    try:
        length = check_hours(hours)
    except InvalidRequest:
        assert not 1 <= hours <= 720
    else:
        assert timedelta(hours=1) <= length <= timedelta(days=30)


def test_every_length_that_is_offered_is_allowed() -> None:
    assert [check_hours(hours) for hours in PERIODS] == [timedelta(hours=h) for h in PERIODS]


@given(st.timedeltas(timedelta(days=-40), timedelta(days=40)))
def test_a_number_alone_is_blocked_until_its_block_ends(left: timedelta) -> None:
    blocked = {"+77012345667": NOW + left}
    assert is_blocked(blocked, "+77012345667", NOW) == (left > timedelta(0))
    assert not is_blocked(blocked, "+77012345668", NOW)
    assert not is_blocked(blocked, None, NOW)
