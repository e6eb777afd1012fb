"""What a plan for a frequent caller may say."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.telephony.callers.care_plans.rules import check_review, check_text

TODAY = date(2026, 11, 24)


@given(st.integers(-400, 400))
def test_a_plan_is_reviewed_within_half_a_year(days: int) -> None:
    day = TODAY + timedelta(days=days)
    if 0 < days <= 180:
        assert check_review(day, TODAY) == day
    else:
        with pytest.raises(InvalidRequest, match="180 days"):
            check_review(day, TODAY)


@given(st.text(max_size=40))
def test_a_text_is_neither_empty_nor_too_long(text: str) -> None:
    try:
        stored = check_text(text, 20)
    except InvalidRequest:
        assert not 1 <= len(text.strip()) <= 20 or "\x00" in text
    else:
        assert stored == text.strip()
