"""What a waiting caller is told."""

from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.calls.inbound.queue_announcements import (
    STILL_THERE,
    STILL_WAITING,
    QueueChoice,
    language_unavailable_prompt,
    queue_prompts,
)
from callcenter.telephony.calls.prompts.texts import names, texts


def test_the_next_caller_hears_so() -> None:
    assert queue_prompts(1, None) == ["queue_next"]


def test_place_and_minutes_are_cardinals_after_a_colon() -> None:
    assert queue_prompts(4, 130) == ["queue_position", "number_4", "queue_wait", "number_3"]


def test_short_and_long_waits_are_not_given_in_minutes() -> None:
    assert queue_prompts(2, 59)[2:] == ["queue_wait_lt1"]
    assert queue_prompts(2, 601)[2:] == ["queue_wait_gt10"]
    assert queue_prompts(2, 600)[2:] == ["queue_wait", "number_10"]


@given(st.integers(-5, 10_000), st.none() | st.floats(0, 1e6))
def test_every_announcement_exists_in_both_languages(position: int, expected: float | None) -> None:
    spoken = set(names())
    for prompt in queue_prompts(position, expected):
        assert {f"kk/{prompt}", f"ru/{prompt}"} <= spoken


# How people count, in the form that stands alone after a colon: nominative, masculine.
_KK = (
    "бір екі үш төрт бес алты жеті сегіз тоғыз он жиырма отыз қырық елу алпыс жетпіс сексен"
    " тоқсан жүз"
)
_RU = (
    "один два три четыре пять шесть семь восемь девять десять двадцать тридцать сорок пятьдесят"
    " шестьдесят семьдесят восемьдесят девяносто сто"
)
_RU_TEENS = (
    "одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать"
    " восемнадцать девятнадцать"
)
_VALUES = [*range(1, 10), *range(10, 101, 10)]
WORTH = {
    "kk": dict(zip(_KK.split(), _VALUES, strict=True)),
    "ru": {
        **dict(zip(_RU.split(), _VALUES, strict=True)),
        **dict(zip(_RU_TEENS.split(), range(11, 20), strict=True)),
    },
}
PLACE = {"kk": "Кезектегі нөміріңіз:", "ru": "Ваш номер в очереди:"}
WAIT = {"kk": "Болжамды күту уақыты, минутпен:", "ru": "Примерное время ожидания, в минутах:"}


@pytest.mark.parametrize("language", ["kk", "ru"])
@given(position=st.integers(1, 200), minutes=st.floats(0, 200))
def test_place_and_wait_make_a_right_sentence(language: str, position: int, minutes: float) -> None:
    words = [texts()[each].words[language] for each in queue_prompts(position, minutes * 60)]
    said: dict[str, int] = {}
    for sentence, number in pairwise([*words, ""]):
        if sentence.endswith(":"):
            parts = [WORTH[language][word] for word in number.split()]
            assert parts == sorted(parts, reverse=True)
            assert all(tens % 10 == 0 for tens in parts[:-1])
            said[sentence] = sum(parts)
        else:
            assert sentence.endswith(".") or sentence in number_words(language), sentence
    assert said.get(PLACE[language]) == (position if 1 < position <= 100 else None)
    assert said.get(WAIT[language]) == (ceil(minutes) if 1 <= minutes <= 10 else None)


def number_words(language: str) -> set[str]:
    return {text.words[language] for prompt, text in texts().items() if "number_" in prompt}


QUESTIONS = [
    STILL_WAITING,
    STILL_THERE,
    *(
        language_unavailable_prompt(*who)
        for who in (("kk", None), ("ru", None), ("kk", "ru"), ("ru", "kk"))
    ),
]


def test_every_question_offers_to_stay_and_1414_in_both_languages() -> None:
    spoken = set(names())
    for question in QUESTIONS:
        for prompt in question.prompts:
            assert {f"kk/{prompt}", f"ru/{prompt}"} <= spoken
        assert question.choice("1") is QueueChoice.STAY
        assert question.choice("2") is QueueChoice.CALLBACK
        assert question.choice("3") is QueueChoice.UNIFIED_CENTER
        assert question.choice("4") is QueueChoice.MESSAGE


def test_silence_and_keys_that_mean_nothing_keep_the_caller_waiting() -> None:
    for question in QUESTIONS:
        for key in (None, *"05789*#"):
            assert question.choice(key) is QueueChoice.STAY


def test_an_urgent_callers_silence_agrees_to_the_other_language() -> None:
    for other, means in ((None, QueueChoice.STAY), ("ru", QueueChoice.OTHER_LANGUAGE)):
        question = language_unavailable_prompt("kk", other, urgent=True)
        assert question.choice(None) is means
        assert question.choice("1") is QueueChoice.STAY
        assert ("urgent_other_language" in question.prompts) == (other is not None)


def test_the_other_language_is_offered_only_where_somebody_speaks_it() -> None:
    assert language_unavailable_prompt("kk", None).choice("6") is QueueChoice.STAY
    assert language_unavailable_prompt("kk", "ru").choice("6") is QueueChoice.OTHER_LANGUAGE
    assert "offer_ru" in language_unavailable_prompt("kk", "ru").prompts
    assert not {"offer_kk", "offer_ru"} & set(language_unavailable_prompt("ru", None).prompts)
