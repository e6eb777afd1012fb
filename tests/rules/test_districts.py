"""Districts: the list that a center begins with, and how a newer classifier changes it."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.form import kato
from callcenter.appeals.rules.fields import (
    OUTSIDE,
    AccessRule,
    Content,
    Field,
    FieldType,
    Form,
    Option,
    Section,
    WrongContent,
    check_field,
)
from callcenter.appeals.web.form_pages import OPTIONS_LENGTH_LIMIT, format_options, read_options
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import ROOT

VERSIONS = ROOT / "migrations" / "versions"
LISTED: list[dict[str, Any]] = json.loads((VERSIONS / "0058_districts.json").read_text("utf-8"))
FIRST = json.loads((VERSIONS / "0019_first_fields.json").read_text("utf-8"))["fields"]
REGIONS = [
    Option(**each)
    for field in FIRST
    for each in field["options"]
    if (field["section"], field["code"]) == ("appeal", "region")
]
DISTRICTS = tuple(Option(**{k: v for k, v in each.items() if k != "seen_in"}) for each in LISTED)
KAZAKH = set("аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя")
COLUMNS = ("te", "ab", "cd", "ef", "hij", "k", "kaz_name", "rus_name", "nn")


def field(code: str, options: tuple[Option, ...]) -> Field:
    return Field(code, Section.APPEAL, FieldType.CHOICE, AccessRule.OPEN, "a", "b", "c", 1, options)


FORM = Form([field("region", tuple(REGIONS)), field("district", DISTRICTS)])


def row(code: str, kk: str, ru: str) -> tuple[object, ...]:
    return (code, code[:2], code[2:4], code[4:6], code[6:], "1", kk, ru, "1")


ROWS: list[tuple[object, ...]] = [
    row("100000000", "Абай облысы", "область Абай"),
    row("101000000", "Семей Қ.Ә.", "Семей Г.А."),
    row("101010000", "Семей қ.", "г.Семей"),
    row("103200000", "Абай ауданы", "Абайский район"),
    row("103230100", "Қараауыл а.", "с.Карааул"),
    row("710000000", "Астана қ.", "г.Астана"),
    row("711110000", "Алматы ауданы", "район Алматы"),
    row("711110100", "Бір а.", "с.Одно"),
]


# The list that a center begins with


def test_every_district_has_a_code_region_and_all_names() -> None:
    assert len(DISTRICTS) == 228
    assert max(Counter(each.code for each in DISTRICTS).values()) == 1
    assert [each.code for each in DISTRICTS] == sorted(each.code for each in DISTRICTS)
    regions = {region.code for region in REGIONS}
    assert {each.parent for each in DISTRICTS} == regions
    for each in DISTRICTS:
        assert kato.is_district(each.code), each
        assert each.parent == kato.region_of(each.code), each
        assert each.kk.endswith((" ауданы", " қаласы")), each
        assert each.ru.startswith(("район ", "город ")) or each.ru.endswith(" район"), each
        assert each.en == kato.in_latin(each.kk), each
        assert set(each.kk.lower()) <= KAZAKH | {" "}, each
        assert set(each.ru.lower()) <= KAZAKH | {" ", "-"}, each
        assert each.en.isascii(), each


def test_each_code_was_seen_by_two_at_least() -> None:
    for each in LISTED:
        assert len(set(each["seen_in"])) == len(each["seen_in"]) >= 2, each
        assert set(each["seen_in"]) <= set("abcdef")
        assert each["seen_in"].startswith("a"), each


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_within_a_region_a_name_is_of_one_district(language: str) -> None:
    named = Counter((each.parent, getattr(each, language).casefold()) for each in DISTRICTS)
    assert max(named.values()) == 1


def test_the_center_can_edit_the_list_on_its_page() -> None:
    check_field(field("district", DISTRICTS))
    written = format_options(DISTRICTS)
    assert read_options(written) == DISTRICTS
    assert len(written) * 2 < OPTIONS_LENGTH_LIMIT


# What is entered


@given(st.sampled_from(DISTRICTS), st.sampled_from(REGIONS))
def test_a_district_is_stored_with_its_region_alone(district: Option, region: Option) -> None:
    content = {"district": district.code, "region": region.code}
    if district.parent == region.code:
        assert FORM.normalize(content) == content
    else:
        with pytest.raises(WrongContent) as caught:
            FORM.normalize(content)
        assert caught.value.faults == {"district": OUTSIDE}


@given(st.text(max_size=12), st.sampled_from([*(each.code for each in REGIONS), ""]))
def test_an_unknown_district_is_refused_unless_it_was_there(typed: str, region: str) -> None:
    content: Content = {"district": typed, "region": region}
    if not typed.strip():
        assert "district" not in FORM.normalize(content)
        return
    with pytest.raises(WrongContent) as caught:
        FORM.normalize(content)
    assert caught.value.faults == {"district": OUTSIDE}
    assert FORM.normalize(content, previous={"district": typed})["district"] == typed


def test_an_earlier_district_does_not_stay_in_another_region() -> None:
    existing = {"district": "711110000", "region": "710000000"}
    with pytest.raises(WrongContent):
        FORM.normalize({"district": "711110000", "region": "750000000"}, existing)
    with pytest.raises(WrongContent):
        FORM.normalize({"district": "711110000"}, existing)
    assert FORM.normalize({"region": "750000000"}, existing) == {"region": "750000000"}


@given(
    st.sampled_from(DISTRICTS), st.sampled_from(["kk", "ru", "en"]), st.booleans(), st.booleans()
)
def test_a_typed_name_is_the_district_of_the_region(
    district: Option, language: str, with_region: bool, loudly: bool
) -> None:
    name = getattr(district, language)
    typed = {"district": f"  {name.upper() if loudly else name} "}
    if with_region:
        typed |= {"region": district.parent}
        assert FORM.resolve_names(typed) == {"district": district.code, "region": district.parent}
        return
    several = sum(name in (each.kk, each.ru, each.en) for each in DISTRICTS) > 1
    meant = FORM.resolve_names(typed)
    assert meant.get("region") == (None if several else district.parent)
    if several:  # nobody guesses which of them
        with pytest.raises(WrongContent):
            FORM.normalize(meant)
    else:
        assert FORM.normalize(meant)["district"] == district.code


def test_a_foreign_name_is_refused_and_codes_stay() -> None:
    meant = FORM.resolve_names({"district": "Алмалинский район", "region": "710000000"})
    with pytest.raises(WrongContent) as caught:
        FORM.normalize(meant)
    assert caught.value.faults == {"district": OUTSIDE}
    same = {"district": "711110000", "region": "710000000", "content": "x"}
    assert FORM.resolve_names(same) == same
    assert FORM.resolve_names({"district": ["a", "b"]}) == {"district": ["a", "b"]}


# A newer classifier


@given(st.permutations(ROWS))
def test_districts_are_found_among_the_rows_in_any_order(rows: list[tuple[object, ...]]) -> None:
    found = kato.districts([("КАТО",), COLUMNS, *rows, ("", ""), ()])
    assert [(each.code, each.parent, each.kk, each.ru) for each in found] == [
        ("101000000", "100000000", "Семей қаласы", "город Семей"),
        ("103200000", "100000000", "Абай ауданы", "Абайский район"),
        ("711110000", "710000000", "Алматы ауданы", "район Алматы"),
    ]
    as_numbers = [tuple(float(str(row[0])) if at == 0 else each for at, each in enumerate(row))
                  for row in rows]  # fmt: skip
    assert kato.districts([COLUMNS, *as_numbers]) == found


@given(st.lists(st.lists(st.text(max_size=9) | st.none() | st.floats() | st.integers())))
def test_whatever_the_file_holds_it_is_read_or_refused(rows: list[list[object]]) -> None:
    try:
        found = kato.districts([COLUMNS, *rows])
    except InvalidRequest:
        return
    assert all(kato.is_district(each.code) for each in found)


@pytest.mark.parametrize(
    ("rows", "reported"),
    [
        ([], "columns"),
        ([("a", "b"), *ROWS], "columns"),
        ([COLUMNS, *ROWS, ROWS[1]], "twice"),
        ([COLUMNS, row("103400000", "", "район Ақсуат")], "no name"),
    ],
)
def test_what_is_not_the_classifier_is_refused(rows: list[Any], reported: str) -> None:
    with pytest.raises(InvalidRequest, match=reported):
        kato.districts(rows)


@pytest.mark.parametrize(
    ("kazakh", "russian", "kk", "ru", "en"),
    [
        ("Ақтау Г.А.", "Актау Г.А.", "Ақтау қаласы", "город Актау", "Aktau city"),
        ("ќобда ауданы", "Хобдинский район", "қобда ауданы", "Хобдинский район", "kobda district"),
        (
            "Ғабит Мүсірепов атын.ауданы",
            "Район им.Габита Мусрепова",
            "Ғабит Мүсірепов атындағы ауданы",
            "район имени Габита Мусрепова",
            "Gabit Musirepov district",
        ),
    ],
)
def test_names_are_written_out(kazakh: str, russian: str, kk: str, ru: str, en: str) -> None:
    [found] = kato.districts([COLUMNS, row("113200000", kazakh, russian)])
    assert (found.kk, found.ru, found.en) == (kk, ru, en)


def test_a_newer_list_adds_renames_and_ends_only() -> None:
    first, second, third = DISTRICTS[:3]
    renamed = replace(second, ru="Другой район")
    new = replace(first, code="109800000")
    found = [renamed, third, new, *DISTRICTS[3:]]
    renewal = kato.update_districts(DISTRICTS, REGIONS, found)
    assert renewal.changed
    assert (renewal.added, renewal.renamed) == ([new], [renamed])
    assert renewal.ended == [replace(first, active=False)]
    assert {each.code for each in renewal.options} == {each.code for each in (*DISTRICTS, new)}
    again = kato.update_districts(renewal.options, REGIONS, found)
    assert not again.changed
    assert again.options == renewal.options
    back = kato.update_districts(renewal.options, REGIONS, DISTRICTS)  # it is there again
    assert {each.code for each in back.options if not each.active} == {new.code}


def test_a_list_that_does_not_fit_the_regions_changes_nothing() -> None:
    others = [each for each in DISTRICTS if each.code[:2] != "79"]
    with pytest.raises(InvalidRequest, match="whole classifier"):
        kato.update_districts(DISTRICTS, REGIONS, others)
    foreign = replace(DISTRICTS[0], code="831000000", parent="830000000")
    with pytest.raises(InvalidRequest, match="830000000"):
        kato.update_districts(DISTRICTS, REGIONS, [*DISTRICTS, foreign])
    ended = [replace(each, active=each.code != "790000000") for each in REGIONS]
    fewer = [each for each in DISTRICTS if each.code[:2] != "79"]
    assert len(kato.update_districts(DISTRICTS, ended, fewer).ended) == 5
