"""The scan of the words of a request: what identifies somebody is found, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.rules.iin import check_digit
from callcenter.requests.rules.text_scan import FindingKind, scan_text

RECORD = {
    "applicant.name": "Сапарова Айгүл Маратқызы",
    "applicant.phone": "+77012345667",
    "applicant.email": "aigul@mail.kz",
    "applicant.address": "г. Алматы, ул. Абая 12, кв 5",
    "applicant.identifier": "900101300017",
    "accused.name": "Сапаров Серик",
    "affected1.name": "Дана",
}
PUBLIC = ("город Алматы", "Алматинская область")
SEPARATORS = st.sampled_from(["", " ", "-", ".", " - ", "\u00a0", "\u200b", "–"])


def found(text: str, *chosen: str) -> list[tuple[FindingKind, str]]:
    return [(each.kind, each.text) for each in scan_text(text, RECORD, chosen, PUBLIC)]


def texts(text: str, kind: FindingKind, *chosen: str) -> list[str]:
    return [each for which, each in found(text, *chosen) if which is kind]


@given(
    st.text(st.sampled_from("0123456789"), min_size=11, max_size=11),
    st.lists(SEPARATORS, min_size=11, max_size=11),
    st.sampled_from(["", "ИИН ", "у него "]),
)
def test_an_identifier_is_found_by_its_check_digit(
    eleven: str, separators: list[str], before: str
) -> None:
    digit = check_digit(eleven)
    if digit is None:
        return
    written = "".join(map("".join, zip(eleven, separators, strict=True))) + str(digit)
    assert [kind for kind, _ in found(f"{before}{written} просит")] == [FindingKind.IDENTIFIER]
    # A mistyped one is a number that is somebody's all the same, unless it looks like a day.
    if "." in written:
        return
    wrong = written[:-1] + str((digit + 1) % 10)
    assert [kind for kind, _ in found(f"{before}{wrong} просит")] in (
        [FindingKind.NUMBER],
        [FindingKind.TELEPHONE],
    )


@pytest.mark.parametrize(
    "number",
    [
        "+7 701 234 56 68",
        "8(701)2345668",
        "87012345668",
        "701-234-56-68",
        "27-15-40",
        "８７０１２３４５６６８",
    ],
)
def test_a_telephone_is_found_however_it_is_written(number: str) -> None:
    assert texts(f"звоните {number}.", FindingKind.TELEPHONE) != []


@pytest.mark.parametrize(
    "text", ["12.03.2026 в 14:20", "12.03.2026 14:20", "2026-11-24", "1 500 тенге", "25 школа"]
)
def test_days_times_and_sums_are_nobodys(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "address",
    ["ул. Абая 12", "улице Абая, дом 12", "Абай көшесі 12", "доме 5", "пр-т Мира 3", "Абая 12"],
)
def test_an_address_is_found_with_and_without_a_street(address: str) -> None:
    assert texts(f"живут на {address}", FindingKind.ADDRESS) != []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("это сделал сапаров", "сапаров"),
        ("дочь дану бьют", "дану"),
        ("Дананы ұрады", "Дананы"),
        ("видел сосед Иван", "Иван"),
        ("говорит с Петром", "Петром"),
        ("Мария Петрова видела", "Мария Петрова"),
        ("мұғалім Бауыржанұлы", "мұғалім Бауыржанұлы"),
        ("Директор И.И. Иванов", "И.И. Иванов"),
        ("ИВАНОВ ИВАН бьёт", "ИВАНОВ ИВАН"),
        ("Kairat бьёт, а Serik видел", "Serik"),
    ],
)
def test_names_of_others_are_found(text: str, name: str) -> None:
    assert name in texts(text, FindingKind.NAME, "applicant.name")


def test_words_may_say_what_a_chosen_field_says() -> None:
    text = (
        "Заявительница Сапарова Айгүл просит звонить 8 701 234-56-67, пишет с aigul@mail.kz,"
        " живёт в Алматы по адресу: ул. Абая 12, ИИН 900101300017."
    )
    fields = ("name", "phone", "email", "address", "identifier")
    assert found(text, *(f"applicant.{each}" for each in fields)) == []
    kinds = {
        "name": FindingKind.NAME,
        "phone": FindingKind.TELEPHONE,
        "email": FindingKind.EMAIL,
        "address": FindingKind.ADDRESS,
        "identifier": FindingKind.IDENTIFIER,
    }
    for left_out, kind in kinds.items():
        chosen = [f"applicant.{each}" for each in fields if each != left_out]
        assert kind in [which for which, _ in found(text, *chosen)], left_out


def test_a_surname_that_two_share_is_found_as_the_others() -> None:
    assert texts("Сапарову бьёт Сапаров", FindingKind.NAME, "applicant.name") == [
        "Сапарову",
        "Сапаров",
    ]
    assert texts("Сапарова просит", FindingKind.NAME, "applicant.name") == []


@given(st.text(max_size=300))
def test_any_text_is_scanned(text: str) -> None:
    assert all(each.text for each in scan_text(text, RECORD, ["applicant.name"], PUBLIC))
