"""Which numbers the line calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.accounts import check_free_of_services
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.short_numbers import SHORT_NUMBERS
from callcenter.telephony.outbound.rules import (
    EMERGENCY,
    NumberPolicy,
    NumberRefusal,
    NumberRefused,
)

PLAIN = NumberPolicy()
ordinary = st.from_regex(r"7(?:[078][0-9]|[12][0-9]|4[0-9])[0-9]{7}", fullmatch=True)
prefixes = st.sampled_from(["+7", "8", "7", "", "+7 ", "8-", "007"])


def why_refused(written: str, policy: NumberPolicy = PLAIN) -> NumberRefusal | None:
    try:
        policy.check(written)
    except NumberRefused as exc:
        return exc.why
    return None


@given(ordinary, prefixes)
def test_mobiles_and_landlines_are_called_however_they_are_written(
    digits: str, prefix: str
) -> None:
    assert PLAIN.check(prefix + digits) == f"+7{digits}"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("8 (7172) 90-69-84", "+77172906984"),
        ("+7 727 272 00 00", "+77272720000"),
        ("8-800-080-7777", "+78000807777"),
        ("8 701 234 56 67", "+77012345667"),
        ("8 747 123 45 67", "+77471234567"),
        ("102", "102"),
        ("1414", "1414"),
    ],
)
def test_a_number_is_dialled_in_one_form(written: str, number: str) -> None:
    assert PLAIN.check(written) == number
    assert PLAIN.check(number) == number


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("+79161234567", NumberRefusal.INTERNATIONAL),
        ("8 916 123 45 67", NumberRefusal.INTERNATIONAL),
        ("+7 812 123 45 67", NumberRefusal.INTERNATIONAL),
        ("+998712345678", NumberRefusal.INTERNATIONAL),
        ("8-10-44-20-7946-0000", NumberRefusal.INTERNATIONAL),
        ("+882 16 12345678", NumberRefusal.INTERNATIONAL),
        ("8 809 123 45 67", NumberRefusal.PAID),
        ("8 760 123 45 67", NumberRefusal.PAID),
        ("8 751 123 45 67", NumberRefusal.PAID),
        ("+7 600 123 45 67", NumberRefusal.PAID),
        ("1599", NumberRefusal.UNKNOWN_SERVICE),
        ("111", NumberRefusal.OURSELVES),
        ("", NumberRefusal.UNREADABLE),
        ("anonymous", NumberRefusal.UNREADABLE),
        ("7", NumberRefusal.UNREADABLE),
        ("55-55-55", NumberRefusal.UNREADABLE),
        ("sip:102@10.0.0.1", NumberRefusal.UNREADABLE),
        ("+7701234566", NumberRefusal.UNREADABLE),
        ("87012345667;x", NumberRefusal.UNREADABLE),
        ("٧٧٠١٢٣٤٥٦٦٧", NumberRefusal.UNREADABLE),
        ("102\r\n103", NumberRefusal.UNREADABLE),
        ("0" * 10_000, NumberRefusal.UNREADABLE),
    ],
)
def test_what_is_not_called_is_refused_with_its_reason(written: str, why: NumberRefusal) -> None:
    assert why_refused(written) is why
    assert not PLAIN.allows(written)


@given(st.text())
def test_any_number_is_refused_or_becomes_callable(written: str) -> None:
    if why_refused(written) is None:
        number = PLAIN.check(written)
        assert number in SHORT_NUMBERS or (number.startswith("+7") and len(number) == 12)
        assert PLAIN.check(number) == number


def test_every_refusal_says_why_in_words() -> None:
    assert all(str(NumberRefused(why)) for why in NumberRefusal)


def test_the_longest_entry_of_the_centers_list_decides() -> None:
    policy = NumberPolicy(
        allowed=["+998", "1599", "+77001111111"], refused=["+99890", "+7700", "104"]
    )
    assert policy.check("+998712345678") == "+998712345678"
    assert policy.check("1599") == "1599"
    assert policy.check("8 700 111 11 11") == "+77001111111"
    assert why_refused("+998901234567", policy) is NumberRefusal.CENTER
    assert why_refused("8 700 222 22 22", policy) is NumberRefusal.CENTER
    assert why_refused("104", policy) is NumberRefusal.CENTER
    assert why_refused("1041", policy) is NumberRefusal.UNKNOWN_SERVICE


def test_nothing_lets_the_line_call_itself() -> None:
    assert why_refused("111", NumberPolicy(allowed=["111"])) is NumberRefusal.OURSELVES
    policy = NumberPolicy(allowed=["7111"], called=["7111", "+7XXXXXXX111"])
    for written in ("7111", "8 717 258 01 11"):
        assert why_refused(written, policy) is NumberRefusal.OURSELVES
    assert why_refused("8 717 258 01 12", policy) is None


@pytest.mark.parametrize("extension", ["111", "7111", "72111", "1424", *sorted(EMERGENCY)])
def test_an_extension_is_no_number_that_people_call(extension: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{extension} is .*choose another extension"):
        check_free_of_services(extension, ("7111", "7X111"))


def test_an_ordinary_extension_is_free() -> None:
    assert check_free_of_services("201", ("7111",)) == "201"


@given(ordinary, st.integers(2, 12))
def test_a_number_that_is_allowed_and_refused_alike_is_refused(digits: str, length: int) -> None:
    entry = f"+7{digits}"[:length]
    assert why_refused(f"+7{digits}", NumberPolicy([entry], [entry])) is NumberRefusal.CENTER


@pytest.mark.parametrize("entry", ["", "+", "+0", "770123", "+7 701", "abc", "+77012345667012345"])
def test_a_doubtful_entry_of_the_list_is_refused_at_start(entry: str) -> None:
    with pytest.raises(ValueError, match="numbers_allowed"):
        Settings(_env_file=None, numbers_allowed=(entry,))
    with pytest.raises(ValueError, match="numbers_refused"):
        Settings(_env_file=None, numbers_refused=(entry,))
