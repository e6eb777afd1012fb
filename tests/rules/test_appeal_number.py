import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.rules.number import (
    LAST_SEQUENCE,
    NumbersExhausted,
    is_valid,
    make,
    parse,
)
from callcenter.platform.core.errors import InvalidRequest

years = st.integers(0, 99)
LAST_OF_SEVEN = 9_999_999
narrow = st.integers(1, LAST_OF_SEVEN)
wide = st.integers(LAST_OF_SEVEN + 1, LAST_SEQUENCE)
sequences = narrow | wide
numbers = st.builds(make, years, sequences)


def test_a_number_is_year_sequence_and_check_digit() -> None:
    assert make(26, 123)[:9] == "260000123"
    # The worked example of Damm's dissertation: the check digit of 572 is 4. Leading zeros do
    # not move the interim digit, so it holds for our nine digits too.
    assert make(0, 572) == "0000005724"


@given(years, narrow)
def test_numbers_have_ten_digits_while_seven_suffice(year: int, sequence: int) -> None:
    number = make(year, sequence)
    assert len(number) == 10
    assert is_valid(number)
    assert number[:9] == f"{year:02}{sequence:07}"


@given(years, wide)
def test_numbers_beyond_seven_digits_have_eleven(year: int, sequence: int) -> None:
    number = make(year, sequence)
    assert len(number) == 11
    assert is_valid(number)
    assert number[:10] == f"{year:02}{sequence}"


@given(years, st.integers(1, LAST_OF_SEVEN), st.integers(0, 9))
def test_no_number_can_be_written_with_a_zero_more(year: int, sequence: int, check: int) -> None:
    assert not is_valid(f"{year:02}{sequence:08}{check}")


@given(numbers)
def test_every_single_wrong_digit_is_caught_in_every_position(number: str) -> None:
    for position, right in enumerate(number):
        for wrong in set("0123456789") - {right}:
            assert not is_valid(number[:position] + wrong + number[position + 1 :])


@given(numbers)
def test_every_swap_of_neighbours_is_caught_in_every_position(number: str) -> None:
    for left in range(len(number) - 1):
        swapped = number[:left] + number[left + 1] + number[left] + number[left + 2 :]
        assert is_valid(swapped) == (swapped == number)


@given(st.text())
def test_any_text_is_valid_or_not_without_raising(text: str) -> None:
    assert is_valid(text) in (True, False)


@pytest.mark.parametrize(
    "text", ["", "0000005725", "000000572", "00000057244", "261000000000", "٠٠٠٠٠٠٥٧٢٤"]
)
def test_what_is_not_a_number_of_ours_is_not_valid(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(InvalidRequest, match="appeal's number"):
        parse(text)


@given(numbers)
def test_a_number_is_read_back_as_people_write_it(number: str) -> None:
    written = f" {number[:2]} {number[2:5]}-{number[5:8]}.{number[8:]}\n"
    assert parse(written) == parse(number) == number


@pytest.mark.parametrize("sequence", [0, -1])
def test_a_sequence_begins_with_one(sequence: int) -> None:
    with pytest.raises(InvalidRequest, match="sequence"):
        make(26, sequence)


@pytest.mark.parametrize("sequence", [LAST_SEQUENCE + 1, 2**31])
def test_no_number_is_left_beyond_eight_digits(sequence: int) -> None:
    assert LAST_SEQUENCE == 99_999_999
    with pytest.raises(NumbersExhausted, match="no number"):
        make(26, sequence)


@pytest.mark.parametrize("year", [-1, 100, 2026])
def test_a_year_that_is_not_two_digits_is_refused(year: int) -> None:
    with pytest.raises(InvalidRequest, match="two digits"):
        make(year, 1)
