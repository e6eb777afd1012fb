import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.prompts.texts import (
    LARGEST,
    PAUSE,
    cardinal,
    name,
    names,
    spell_digits,
    texts,
)

OWN_LETTERS = {"kk": "ӘәҒғҚқҢңӨөҰұҮүҺһІі", "ru": ""}


def test_every_text_can_be_read_aloud_in_its_language() -> None:
    for prompt, text in texts().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", prompt)
        for language in CALLER_LANGUAGES:
            letters = f"[А-Яа-яЁё{OWN_LETTERS[language]} .,!?:;—-]+"
            assert re.fullmatch(letters, text.words[language]), f"{language}/{prompt}"


def test_a_refused_call_names_the_senior_and_no_page() -> None:
    words = texts()["call_unwanted"].words
    assert "Старший консультант" in words["ru"]
    assert "Аға кеңесші" in words["kk"]
    assert not re.search("страниц|бет", " ".join(words.values()))


def test_every_text_is_a_draft_until_reviewed() -> None:
    assert all("draft" in text.status for text in texts().values())


def test_kazakh_and_russian_were_not_mixed_up() -> None:
    sentences = [text for prompt, text in texts().items() if not prompt.startswith("number_")]
    assert all(text.words["kk"] != text.words["ru"] for text in sentences)
    long = [text for text in sentences if len(text.words["kk"]) > 20]
    assert len(long) > 30
    assert all(set(text.words["kk"]) & set(OWN_LETTERS["kk"]) for text in long)


@pytest.mark.parametrize(
    ("number", "kk", "ru"),
    [
        (0, "нөл", "ноль"),
        (1, "бір", "один"),
        (10, "он", "десять"),
        (11, "он бір", "одиннадцать"),
        (12, "он екі", "двенадцать"),
        (14, "он төрт", "четырнадцать"),
        (16, "он алты", "шестнадцать"),
        (19, "он тоғыз", "девятнадцать"),
        (20, "жиырма", "двадцать"),
        (42, "қырық екі", "сорок два"),
        (90, "тоқсан", "девяносто"),
        (99, "тоқсан тоғыз", "девяносто девять"),
        (100, "жүз", "сто"),
    ],
)
def test_numbers_are_said_as_people_count(number: int, kk: str, ru: str) -> None:
    assert cardinal("kk", number) == kk
    assert cardinal("ru", number) == ru


def test_no_two_numbers_are_said_alike() -> None:
    for language in CALLER_LANGUAGES:
        assert len({cardinal(language, number) for number in range(LARGEST + 1)}) == LARGEST + 1


@given(st.text(alphabet="0123456789*#", min_size=1, max_size=30))
def test_a_spelled_number_has_all_digits_in_small_groups(keys: str) -> None:
    groups = " ".join(spell_digits(keys)).split(PAUSE)
    said = [prompt for group in groups for prompt in group.split()]
    signs = {"star": "*", "pound": "#"}
    assert "".join(signs.get(prompt) or prompt.removeprefix("number_") for prompt in said) == keys
    sizes = [len(group.split()) for group in groups]
    assert sizes == [1] or set(sizes) <= {2, 3}


def test_ten_digits_are_spelled_in_the_groups_people_write() -> None:
    groups = " ".join(spell_digits("2600000123")).split(PAUSE)
    assert [len(group.split()) for group in groups] == [3, 3, 2, 2]


@pytest.mark.parametrize("keys", ["", "12a", "+7701", "1 2", "٣"])
def test_what_is_not_a_key_cannot_be_spelled(keys: str) -> None:
    with pytest.raises(InvalidRequest, match="spelled"):
        spell_digits(keys)


@given(st.sampled_from(CALLER_LANGUAGES), st.text())
def test_only_listed_prompts_have_path_safe_names(lang: str, text: str) -> None:
    if text in texts() or text == PAUSE:
        assert name(lang, text) in names()
    else:
        with pytest.raises(InvalidRequest, match="no prompt"):
            name(lang, text)


@pytest.mark.parametrize("language", ["en", "", "../kk", "KK"])
def test_only_supported_languages_have_prompts(language: str) -> None:
    with pytest.raises(InvalidRequest, match="only kk and ru"):
        name(language, "greeting")
