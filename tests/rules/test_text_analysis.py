"""Words of appeals meet their other forms and spellings."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.rules.text_analysis import (
    fold_name,
    grams,
    kazakh_stem,
    query_spellings,
    query_stems,
    russified_stems,
    stems,
    words,
)
from callcenter.appeals.search.query import day_ranges


# Forms as people write them; a light stemmer need not be right, it must be the same for all.
@pytest.mark.parametrize(
    "forms",
    [
        "бала баланың балаға баланы балада баладан баламен балалар балалардың балаларға балаларым",
        "мектеп мектептің мектепке мектепте мектептен мектебі мектебіне мектептер мектептерде",
        "көмек көмектің көмекке көмекпен көмегі көмегіне көмектер",
        "отбасы отбасының отбасына отбасында отбасымен",
        "құқық құқықтың құқығы құқығын құқықтар құқықтары құқықтарын",
        "күйеу күйеуі күйеуім күйеуімнің күйеуден",
        "әйел әйелдің әйелге әйелдер әйелдердің әйелім",
        "зорлық зорлықтан зорлығы зорлыққа",
    ],
)
def test_kazakh_forms_meet(forms: str) -> None:
    together = {kazakh_stem(form) for form in forms.split()}
    assert len(together) <= 2  # a form or two may stand apart
    most = max(together, key=lambda stem: sum(kazakh_stem(f) == stem for f in forms.split()))
    assert sum(kazakh_stem(f) == most for f in forms.split()) >= len(forms.split()) * 3 / 4


@pytest.mark.parametrize(
    "forms",
    ["обращение обращения обращению", "ребёнок", "алименты алиментов алиментами", "муж мужа мужем"],
)
def test_russian_forms_meet(forms: str) -> None:
    assert len({stems(word)[0] for word in words(forms)}) == 1


@pytest.mark.parametrize(
    "spellings",
    [
        "Қайрат Кайрат Qairat Kairat Kayrat",
        "Әсел Асел Asel Äsel",
        "Сейтова Seitova Seytova",
        "Фёдор Федор Fedor",
        "Айгүл Айгуль Aigul Aygül",
        "Нұрлан Нурлан Nurlan",
        "Жанна Zhanna Janna",
        "Шахмет Shakhmet Shahmet",
    ],
)
def test_spellings_of_a_name_are_one(spellings: str) -> None:
    assert len({fold_name(spelling) for spelling in spellings.split()}) == 1


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("әке", "аке"), ("әкесі", "акеси"), ("үйде", "уйде"), ("Ақтөбе", "актобе"),
        ("көмекке", "комекке"), ("құқығы", "кукыгы"), ("һәм", "хам"), ("отбасы", "отбасы"),
    ],
)  # fmt: skip
def test_a_word_is_itself_without_its_kazakh_letters(written: str, typed: str) -> None:
    assert set(russified_stems(written.lower())) & set(russified_stems(typed))


@pytest.mark.parametrize(
    ("typed", "stem"),
    [
        ("акеси", "аке"), ("балага", "бала"), ("комеги", "комек"), ("мектебинен", "мектеп"),
        # A Russian word that ends so stays itself.
        ("почти", "почти"), ("части", "части"), ("почка", "почка"),
    ],
)  # fmt: skip
def test_kazakh_in_russian_letters_has_its_stem(typed: str, stem: str) -> None:
    assert stems(typed)[-1] == stem


#: Words that many appeals have, and that begin like forms of the nouns of two letters.
OTHERS = (
    "ұйым уйым ұйымдастыру ұлт ұлты ұлттық ұлыс үлкен улкен үйрету үйлену уйлену ерте ерту еркін "
    "істеді істейді айтты атап атау ата емес ескерту естіді елу уйти уйди ушел суд суда иск иске "
    "исход ерунда улица емкость ест атака есть"
)


@pytest.mark.parametrize("noun", ["үй", "уй", "іс", "ис", "ұл", "ел", "ер", "ем", "ат"])
def test_forms_of_a_short_noun_are_no_other_words(noun: str) -> None:
    forms = set(query_stems(noun)) - set(stems(noun))
    spellings = set(query_spellings(noun)) - set(russified_stems(noun))
    assert len(forms) > 10
    for word in words(OTHERS):
        assert not set(stems(word)) & forms, word
        assert not set(russified_stems(word)) & spellings, word


@given(st.text(max_size=200))
def test_any_text_has_stems_that_are_not_empty(text: str) -> None:
    for word in words(text):
        assert all(stems(word))
        assert all(russified_stems(word))
        assert len(kazakh_stem(word)) <= len(word)
        assert grams(word)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))
def test_every_day_is_searched_once_the_newest_first(last: datetime) -> None:
    expected = (last.date() - date(2000, 1, 1)).days
    found = list(day_ranges(last))
    for keys, _ in found[:-1]:
        assert keys is not None
        days = sorted(day for key in keys for day in days_of(key))
        assert days == list(range(days[0], expected + 1))
        expected = days[0] - 1
    keys, before = found[-1]
    assert keys is None
    assert before == datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=expected + 1)


def days_of(key: int) -> range:
    """The days that a key stands for, as the database counts them."""
    return range(key, key + 1) if key >= 0 else range((-1 - key) * 16, (-key) * 16)
