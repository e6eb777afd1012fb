import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.platform.core.caller_id import CallerId, mask, parse_caller_id

dialled = st.text(alphabet="0123456789+ -()@;:.", max_size=24)
kazakh_digits = st.from_regex(r"7[0-9]{9}", fullmatch=True)


@pytest.mark.parametrize(
    "raw",
    [
        "+77012345667",
        "87012345667",
        "77012345667",
        "7012345667",
        "+7 (701) 234-56-67",
        "8 701 234 56 67",
        "007 701 234 56 67",
        "sip:+77012345667@10.0.0.1;user=phone",
        "<tel:87012345667>",
        "+77012345667;phone-context=kz",
    ],
)
def test_a_kazakh_number_is_read_however_it_is_written(raw: str) -> None:
    assert parse_caller_id(raw) == CallerId("number", "+77012345667")


@given(kazakh_digits, st.sampled_from(["+7", "8", "7", ""]))
def test_every_kazakh_number_is_read_with_every_prefix(digits: str, prefix: str) -> None:
    assert parse_caller_id(prefix + digits) == CallerId("number", f"+7{digits}")


def test_eight_hundred_is_kazakh_with_every_prefix() -> None:
    for raw in ("88000800111", "+78000800111", "78000800111", "8000800111"):
        assert parse_caller_id(raw) == CallerId("number", "+78000800111")


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+79161234567", "+79161234567"),
        ("89161234567", "+79161234567"),
        ("+996555123456", "+996555123456"),
        ("996555123456", "+996555123456"),
        ("00996555123456", "+996555123456"),
        ("810996555123456", "+996555123456"),
        ("4915112345678", "+4915112345678"),
        ("+6591234567", "+6591234567"),
        ("6591234567", "+6591234567"),
    ],
)
def test_foreign_numbers_are_read(raw: str, number: str) -> None:
    assert parse_caller_id(raw) == CallerId("number", number)


@pytest.mark.parametrize("code", ["11", "111", "1414", "112", "109", "00", "99999"])
def test_short_numbers_stay_as_they_are(code: str) -> None:
    assert parse_caller_id(code) == CallerId("short", code)


@pytest.mark.parametrize(
    "raw", [None, "", "  ", "anonymous", "Anonymous", "sip:anonymous@anonymous.invalid", "unknown"]
)
def test_a_withheld_number_is_withheld(raw: str | None) -> None:
    assert parse_caller_id(raw) == CallerId("withheld", None)


@pytest.mark.parametrize(
    "raw",
    [
        *("7", "+111", "++77012345667", "+", "123456", "+7701234566", "770123456670", "+99712345"),
        *("alice", "1 OR 1=1", "٧٧٠١٢٣٤٥٦٦٧", "\x00", "0" * 40),
        pytest.param("7" * 100_000, id="very long"),
    ],
)
def test_garbage_is_unreadable(raw: str) -> None:
    assert parse_caller_id(raw) == CallerId("unreadable", None)


@given(st.one_of(st.text(), dialled))
@example("sip:")
@example("@;")
@example("+440201234567")
def test_any_text_is_parsed_and_reads_back_the_same(raw: str) -> None:
    caller = parse_caller_id(raw)
    assert (caller.number is None) == (caller.kind in ("withheld", "unreadable"))
    if caller.number is not None:
        assert parse_caller_id(caller.number) == caller


def test_the_numbers_of_all_countries_read_the_same_again() -> None:
    read = 0
    for region in phonenumbers.SUPPORTED_REGIONS:
        example_number = phonenumbers.example_number(region)
        assert example_number is not None
        number = phonenumbers.format_number(example_number, phonenumbers.PhoneNumberFormat.E164)
        assert parse_caller_id(number) == CallerId("number", number)
        read += 1
    assert read > 200


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+77012345667", "+7 701 *** ** 67"),
        ("+78000800111", "+7 800 *** ** 11"),
        ("+996555123456", "+99 ******** 56"),
        ("111", "111"),
        ("", "***"),
        ("Aigerim", "***"),
        ("87012345667", "***"),
    ],
)
def test_a_mask_is_enough_to_recognise_and_not_to_dial(number: str, masked: str) -> None:
    assert mask(number) == masked


@given(st.one_of(st.text(), dialled, st.from_regex(r"\+[0-9]{7,15}", fullmatch=True)))
def test_a_mask_never_shows_more_than_six_digits(text: str) -> None:
    masked = mask(text)
    assert sum(character.isdigit() for character in masked) <= 6
    assert not (len(text) > 5 and text in masked)
