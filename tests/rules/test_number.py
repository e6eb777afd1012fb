import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.number import LAST_SEQUENCE, is_valid, make, parse
from callcenter.errors import AskedWrongly

years = st.integers(0, 99)
sequences = st.integers(1, LAST_SEQUENCE)
numbers = st.builds(make, years, sequences)


def test_a_number_is_year_sequence_and_check_digit() -> None:
    assert make(26, 123)[:9] == "260000123"
    # The worked example of Damm's dissertation: the check digit of 572 is 4. Leading zeros do
    # not move the interim digit, so it holds for our nine digits too.
    assert make(0, 572) == "0000005724"


@given(years, sequences)
def test_every_number_that_we_give_is_ten_valid_digits(year: int, sequence: int) -> None:
    number = make(year, sequence)
    assert len(number) == 10
    assert is_valid(number)
    assert number[:9] == f"{year:02}{sequence:07}"


@given(numbers)
def test_every_single_wrong_digit_is_caught_in_every_position(number: str) -> None:
    for position, right in enumerate(number):
        for wrong in set("0123456789") - {right}:
            assert not is_valid(number[:position] + wrong + number[position + 1 :])


@given(numbers)
def test_every_swap_of_neighbours_is_caught_in_every_position(number: str) -> None:
    for left in range(9):
        swapped = number[:left] + number[left + 1] + number[left] + number[left + 2 :]
        assert is_valid(swapped) == (swapped == number)


@given(st.text())
def test_any_text_is_either_valid_or_not_and_nothing_is_raised(text: str) -> None:
    assert is_valid(text) in (True, False)


@pytest.mark.parametrize("text", ["", "0000005725", "000000572", "00000057244", "٠٠٠٠٠٠٥٧٢٤"])
def test_what_is_not_a_number_of_ours_is_not_valid(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(AskedWrongly, match="appeal's number"):
        parse(text)


@given(numbers)
def test_a_number_is_read_back_as_people_write_it(number: str) -> None:
    written = f" {number[:2]} {number[2:5]}-{number[5:8]}.{number[8:]}\n"
    assert parse(written) == parse(number) == number


@pytest.mark.parametrize("sequence", [0, -1, LAST_SEQUENCE + 1])
def test_a_sequence_beyond_seven_digits_is_refused(sequence: int) -> None:
    with pytest.raises(AskedWrongly, match="sequence"):
        make(26, sequence)


@pytest.mark.parametrize("year", [-1, 100, 2026])
def test_a_year_that_is_not_two_digits_is_refused(year: int) -> None:
    with pytest.raises(AskedWrongly, match="two digits"):
        make(year, 1)
